"""What the client says when an API is missing, refuses, or fails; stand-in answers."""

import dataclasses
import http.server
import json
import pathlib
import threading
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from components.foundation.errors import FalajError, InfrastructureError, Refused, UserError
from components.foundation.kubernetes import resources
from components.foundation.kubernetes.client import Cluster
from components.foundation.kubernetes.failures import Owned, Owner
from components.foundation.kubernetes.retries import Retries
from components.foundation.storage import Conflict, NotFound
from tests import kubeconfig
from tests.components.foundation.kubernetes.playing import Player, playing

MAP: dict[str, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}}


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers every request with the status in its `code`, and remembers what was asked."""

    code = 200
    body: ClassVar[dict[str, Any]] = {"message": "the reason", "items": [], "metadata": {}}
    asked: ClassVar[list[tuple[str, str, str, Any]]]
    tokens: ClassVar[list[str]]

    def log_message(self, format: str, *args: object) -> None:
        pass

    def answer(self) -> None:
        length = int(self.headers.get("content-length", 0))
        body = json.loads(self.rfile.read(length) or "null")
        self.tokens.append(self.headers.get("authorization", ""))
        self.asked.append((self.command, self.path, self.headers.get("content-type", ""), body))
        text = json.dumps(self.body).encode()
        self.send_response(self.code)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815 - http.server's names


@pytest.fixture
def api() -> Iterator[type[Answers]]:
    class Here(Answers):
        asked: ClassVar[list[tuple[str, str, str, Any]]] = []
        tokens: ClassVar[list[str]] = []

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Here) as server:
        Here.port = server.server_port  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Here
        server.shutdown()


def connected(folder: pathlib.Path, port: int, **environment: str) -> Cluster:
    path = kubeconfig.written(folder, port)
    found = Cluster.connect({"KUBECONFIG": str(path), "FALAJ_NAMESPACE": "team", **environment})
    return dataclasses.replace(found, retries=Retries(sleep=lambda _: None))


@pytest.fixture
def cluster(api: Any, tmp_path: pathlib.Path) -> Cluster:
    return connected(tmp_path, api.port)


def test_apply_is_one_server_side_patch_under_our_name(cluster: Cluster, api: Any) -> None:
    cluster.apply(MAP)

    ((verb, path, content, body),) = api.asked
    assert (verb, content) == ("PATCH", "application/apply-patch+yaml")
    assert path == "/api/v1/namespaces/team/configmaps/m?fieldManager=falaj&force=false"
    assert body == MAP
    assert api.tokens == ["Bearer secret"]


@pytest.mark.parametrize(
    ("code", "error", "said"),
    [
        (401, Refused, "the reason; the API server does not know who asks: sign in anew"),
        (403, Refused, r"Role with patch and create on configmaps"),
        (404, NotFound, "the reason"),
        (409, Conflict, "the reason"),
        (413, UserError, "the reason"),
        (422, UserError, "the reason; correct"),
        (500, InfrastructureError, "failed .500.: the reason"),
        (503, InfrastructureError, "failed .503.: the reason"),
    ],
)
def test_every_status_is_one_of_our_errors(
    cluster: Cluster, api: Any, code: int, error: type[FalajError], said: str
) -> None:
    api.code = code

    with pytest.raises(error, match=said):
        cluster.apply(MAP)


DENIED = [
    'admission webhook "inferenceservice.kserve-webhook-server.validator" denied the request: '
    "canary[0] predictor.name is required",
    'inferenceservices.serving.kserve.io "m" is forbidden: ValidatingAdmissionPolicy '
    "'falaj' with binding 'falaj' denied request: images by digest only",
    'pods "m" is forbidden: exceeded quota: team, requested: pods=1, used: pods=9, limited: pods=9',
]


@pytest.mark.parametrize("said", DENIED, ids=["webhook", "policy", "quota"])
def test_what_a_rule_forbids_is_not_told_as_a_right_that_lacks(
    cluster: Cluster, api: Any, said: str
) -> None:
    api.code, api.body = 403, {"message": said}

    with pytest.raises(Refused) as caught:
        cluster.apply(MAP)

    assert caught.value.code == "kubernetes-denied"
    assert said in str(caught.value)
    assert "Role" not in str(caught.value)


def test_a_right_that_lacks_is_told_as_the_api_server_says_it(cluster: Cluster, api: Any) -> None:
    said = 'configmaps "m" is forbidden: User "system:serviceaccount:team:x" cannot patch resource'
    api.code, api.body = 403, {"message": said}

    with pytest.raises(Refused, match="Role with patch and create on configmaps") as caught:
        cluster.apply(MAP)

    assert caught.value.code == "kubernetes-forbidden"


@pytest.mark.parametrize("answer", [b"<html>sign in</html>", b"", b"[]", b'{"data": "secr'])
def test_an_answer_that_is_no_object_is_told_without_what_is_in_it(answer: bytes) -> None:
    def page(player: Player) -> None:
        player.send_response(200)
        player.send_header("content-length", str(len(answer)))
        player.end_headers()
        player.wfile.write(answer)

    with playing(page) as (cluster, _), pytest.raises(InfrastructureError) as caught:
        cluster.get(resources.CONFIG_MAP, "m")

    assert f"no object, {len(answer)} bytes" in str(caught.value)
    assert caught.value.__context__ is None


def test_without_a_name_nothing_is_deleted(cluster: Cluster, api: Any) -> None:
    with pytest.raises(ValueError, match="expected a name"):
        cluster.delete(resources.CONFIG_MAP, "")
    assert api.asked == []


def conflict(*causes: tuple[str, str]) -> dict[str, Any]:
    told = [
        {"reason": "FieldManagerConflict", "message": f'conflict with "{who}" using v1', "field": f}
        for who, f in causes
    ]
    return {"message": f"Apply failed with {len(told)} conflicts", "details": {"causes": told}}


def test_a_conflict_names_who_owns_which_field(cluster: Cluster, api: Any) -> None:
    api.code = 409
    api.body = conflict(("kubectl-edit", ".data.a"), ("helm", ".data.b"))

    with pytest.raises(Owned, match=r"kubectl-edit owns \.data\.a; helm owns \.data\.b") as caught:
        cluster.apply(MAP)

    assert caught.value.owners == (Owner("kubectl-edit", ".data.a"), Owner("helm", ".data.b"))


def test_a_write_that_came_second_is_a_conflict_of_no_owner(cluster: Cluster, api: Any) -> None:
    api.code = 409

    with pytest.raises(Conflict, match="read it again") as caught:
        cluster.apply(MAP)

    assert not isinstance(caught.value, Owned)


def test_what_was_seen_is_what_is_deleted(cluster: Cluster, api: Any) -> None:
    seen = {**MAP, "metadata": {"name": "m", "uid": "u", "resourceVersion": "7"}}

    cluster.delete(resources.CONFIG_MAP, "m", seen=seen)

    ((verb, _, _, body),) = api.asked
    assert (verb, body["preconditions"]) == ("DELETE", {"uid": "u", "resourceVersion": "7"})


def test_an_api_that_does_not_answer_is_infrastructure(tmp_path: pathlib.Path) -> None:
    with pytest.raises(InfrastructureError, match="did not answer"):
        connected(tmp_path, 9).get(resources.CONFIG_MAP, "m")


def test_replace_needs_a_version(cluster: Cluster, api: Any) -> None:
    with pytest.raises(UserError, match="no resourceVersion"):
        cluster.replace(MAP)
    assert api.asked == []


def test_deleting_what_is_gone_is_no_error(cluster: Cluster, api: Any) -> None:
    api.code = 404

    cluster.delete(resources.CONFIG_MAP, "m")


def test_an_unknown_kind_is_refused_before_anything_is_sent(cluster: Cluster, api: Any) -> None:
    with pytest.raises(UserError, match="v1 ConfigMap"):
        cluster.apply({**MAP, "kind": "Secret"})
    assert api.asked == []


def test_names_are_quoted_into_paths() -> None:
    assert resources.CONFIG_MAP.path("a/b", "c?d") == "/api/v1/namespaces/a%2Fb/configmaps/c%3Fd"


def test_outside_of_a_cluster_a_kubeconfig_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)

    with pytest.raises(UserError, match="KUBECONFIG"):
        Cluster.connect({})


def test_a_kubeconfig_that_is_not_there_is_a_user_error(tmp_path: pathlib.Path) -> None:
    with pytest.raises(UserError, match="KUBECONFIG"):
        Cluster.connect({"KUBECONFIG": str(tmp_path / "none")})


@pytest.mark.parametrize("text", ["a: [b", "hello"], ids=["not YAML", "no mapping"])
def test_a_kubeconfig_that_is_none_is_a_user_error_that_names_it(
    text: str, tmp_path: pathlib.Path
) -> None:
    path = tmp_path / "config"
    path.write_text(text)

    with pytest.raises(UserError, match=f"{path}: .*; set KUBECONFIG to a file that kubectl takes"):
        Cluster.connect({"KUBECONFIG": str(path)})


@pytest.mark.parametrize(
    ("environment", "host"),
    [
        ({}, "delays.team.localhost"),
        ({"FALAJ_DOMAIN": "ml.example.ae"}, "delays.team.ml.example.ae"),
    ],
    ids=["laptop", "cluster"],
)
def test_a_model_answers_under_its_namespace_and_the_domain_of_the_environment(
    environment: dict[str, str], host: str, tmp_path: pathlib.Path
) -> None:
    assert connected(tmp_path, 9, **environment).host("delays") == host
