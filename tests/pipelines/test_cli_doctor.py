"""`falaj doctor`: 0 where nothing is missing, 3 where something is, 75 where nothing answers."""

import http.server
import json
import pathlib
import threading
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
import yaml

from components.governance.doctor import examining
from pipelines.__main__ import main
from tests import kubeconfig
from tests.components.governance.doctor import fit
from tests.inference.processes import free_ports

METRICS_OF_SITE = "http://prometheus-operated.monitoring.svc:9090"


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers as an API server that has what is in `api`, and lets everybody do everything.

    Attributes:
        said: the status and text of all other paths than `but`, instead; 0 for no answer at all.
    """

    api: ClassVar[fit.Plain]
    told: ClassVar[list[tuple[str, str, str]]] = []
    said: ClassVar[tuple[int, str] | None] = None
    but: ClassVar[str] = ""
    over: ClassVar[threading.Event]

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        found = self.api.at.get(self.path)
        self._say(404 if found is None else 200, found or {"message": "not found"})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self._say(201, {"status": {"allowed": True, "userInfo": {"username": "amal"}}})

    do_PUT = do_PATCH = do_DELETE = do_POST  # noqa: N815 - http.server's names

    def _say(self, code: int, body: Any) -> None:
        self.told.append((self.command, self.path, self.headers.get("authorization", "")))
        text = json.dumps(body)
        if self.said and self.path != self.but:
            code, text = self.said
        if not code:
            self.over.wait(60)
            return
        self.send_response(code)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())


@pytest.fixture
def api(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[fit.Plain]:
    """An API server with all that is wanted, and a kubeconfig and a site file for it."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        Answers.api, Answers.over = fit.api(), threading.Event()
        Answers.told.clear()
        monkeypatch.setattr(examining, "PATIENCE", fit.PATIENT)
        site = Answers.api.at[f"/api/v1/namespaces/{fit.HOME}/configmaps/falaj-site"]
        site["data"]["PROMETHEUS_URL"] = METRICS_OF_SITE
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig.written(tmp_path, server.server_port)))
        (tmp_path / "site.yaml").write_text(fit.quiet(fit.site()).text())
        monkeypatch.chdir(tmp_path)
        yield Answers.api
        Answers.over.set()
        server.shutdown()


def test_a_fit_installation_ends_well_and_says_what_there_is(
    api: fit.Plain, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--site", "site.yaml"]) == 0

    said = capsys.readouterr()
    assert said.err == ""
    assert "  ok              API server: v1.34.2\n" in said.out
    assert "definitions\n" in said.out
    assert said.out.splitlines()[-1].endswith("3 cannot be known")


def test_what_is_missing_is_in_the_table_and_the_first_in_the_error(
    api: fit.Plain, capsys: pytest.CaptureFixture[str]
) -> None:
    del api.at[fit.GATEWAY]

    assert main(["doctor", "--site", "site.yaml"]) == 3

    said = capsys.readouterr()
    lines = [one for one in said.out.splitlines() if one.startswith("  missing ")]
    assert lines[0] == "  missing         Gateway falaj: not there"
    assert "\n                    add the feature gateway-api to your overlay, or" in said.out
    assert [one.split()[1] for one in lines] == ["Gateway", "split"]
    assert said.err.startswith("falaj: 2 missing; the first is Gateway falaj: not there;")
    assert said.err.endswith("[doctor-missing]\n")


def test_json_is_one_document_with_every_finding(
    api: fit.Plain, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--site", "site.yaml", "--json"]) == 0

    findings = json.loads(capsys.readouterr().out)["findings"]
    assert {"check", "what", "status", "got", "expected", "do"} == set(findings[0])
    assert {one["status"] for one in findings} == {"ok", "cannot be known"}


def test_pipelines_are_asked_as_who_the_user_is_there(
    api: fit.Plain, capsys: pytest.CaptureFixture[str]
) -> None:
    address = yaml.safe_load(pathlib.Path("kubeconfig").read_text())["clusters"][0]["cluster"]
    site = yaml.safe_load(pathlib.Path("site.yaml").read_text())
    site["pipelines"] = {"api": address["server"], "service_account": "falaj-runner"}
    pathlib.Path("site.yaml").write_text(yaml.safe_dump(site))
    pathlib.Path("token").write_text("let-me-in")
    api.at["/apis/v2beta1/healthz"] = {"multi_user": True}

    assert main(["doctor", "--site", "site.yaml", "--token-file", "token"]) == 0

    assert "answers, for several users" in capsys.readouterr().out
    assert ("GET", "/apis/v2beta1/healthz", "Bearer let-me-in") in Answers.told


@pytest.mark.usefixtures("api")
def test_nothing_is_asked_that_changes_anything() -> None:
    assert main(["doctor", "--site", "site.yaml"]) == 0

    posted = {(method, path) for method, path, _ in Answers.told if method != "GET"}
    assert posted == {
        ("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews"),
        ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"),
        ("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews"),
    }


@pytest.mark.usefixtures("api")
def test_no_path_is_asked_for_twice() -> None:
    main(["doctor", "--site", "site.yaml"])

    got = [path for method, path, _ in Answers.told if method == "GET"]
    probed = ("/apis/serving.kserve.io", "/apis/gateway.", "/apis/serving.knative.dev", "config")
    twice = {path for path in got if got.count(path) > 1 and not any(one in path for one in probed)}
    assert twice == set()
    assert len(Answers.told) < 100


@pytest.mark.usefixtures("api")
def test_an_api_server_that_is_not_there_is_to_be_tried_again(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [port] = free_ports(1)
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig.written(tmp_path, port)))

    assert main(["doctor", "--site", "site.yaml"]) == 75

    said = capsys.readouterr()
    assert said.out == ""
    assert "did not answer" in said.err


EXPIRED = (401, '{"message": "Unauthorized"}')
DENIED = (403, '{"message": "pods is forbidden: User \\"amal\\" cannot get pods"}')
FAILS = (500, '{"message": "etcdserver: no leader"}')
PAGE = (200, "<html>sign in</html>")


@pytest.mark.usefixtures("api")
@pytest.mark.parametrize(
    ("said", "but", "code", "words"),
    [
        (EXPIRED, "", 3, "does not know who asks: sign in anew"),
        (DENIED, "", 3, "the identity needs a Role with get on /version"),
        (DENIED, "/version", 0, ""),
        (FAILS, "", 75, "etcdserver: no leader"),
        (FAILS, "/version", 75, "not everything could be asked of the Kubernetes API ("),
        (PAGE, "", 75, "check that KUBECONFIG names the API itself and no page before it"),
        ((404, "{}"), "", 2, "what answers is no Kubernetes API; name the API server itself"),
        ((0, ""), "", 75, "Kubernetes API: no answer within 3 s; check that it runs"),
        ((0, ""), "/version", 75, "of the Kubernetes API (more than 1 s"),
    ],
    ids=["expired", "denied all", "denied the rest", "fails", "fails at the rest", "sign-in page",
         "elsewhere", "hangs", "hangs at the rest"],
)  # fmt: skip
def test_an_api_server_that_does_not_do_it_is_told_as_what_it_is(
    said: tuple[int, str],
    but: str,
    code: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(Answers, "said", said)
    monkeypatch.setattr(Answers, "but", but)
    if not said[0]:
        monkeypatch.setattr(examining, "PATIENCE", examining.Patience(one_s=3, all_s=1))

    assert main(["doctor", "--site", "site.yaml"]) == code

    told = capsys.readouterr()
    assert words in told.err
    assert told.err.count("\n") == bool(words)
    assert "missing" not in told.out
    assert ("API server: v1.34.2" in told.out) is bool(but)


@pytest.mark.usefixtures("api")
def test_what_was_found_before_the_end_is_printed_as_json_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Answers, "said", FAILS)
    monkeypatch.setattr(Answers, "but", "/version")

    assert main(["doctor", "--site", "site.yaml", "--json"]) == 75

    assert json.loads(capsys.readouterr().out)["findings"][0]["what"] == "API server"


@pytest.mark.usefixtures("api")
def test_what_may_not_be_seen_of_a_kind_is_told_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Answers, "said", DENIED)
    monkeypatch.setattr(Answers, "but", "/version")

    main(["doctor", "--site", "site.yaml"])

    told = capsys.readouterr().out
    assert told.count("this identity may not get secrets\n") == 1
    assert told.count("for the same reason as Secret falaj-object-store\n") == 6


@pytest.mark.usefixtures("api")
@pytest.mark.parametrize(
    ("site", "code"),
    [("nowhere.yaml", "site-missing"), ("bad.yaml", "site-malformed")],
)
def test_a_bad_site_is_the_users(site: str, code: str, capsys: pytest.CaptureFixture[str]) -> None:
    pathlib.Path("bad.yaml").write_text("name: 3")

    assert main(["doctor", "--site", site, "--json"]) == 2

    said = capsys.readouterr()
    assert said.out == ""
    assert f"[{code}]" in said.err
    assert Answers.told == []


def test_a_laptop_has_no_installation(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--site", "laptop"]) == 2

    assert "[site-is-a-laptop]" in capsys.readouterr().err


def test_without_a_cluster_it_says_how_to_name_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)

    assert main(["doctor"]) == 2

    assert "set KUBECONFIG to a file" in capsys.readouterr().err
