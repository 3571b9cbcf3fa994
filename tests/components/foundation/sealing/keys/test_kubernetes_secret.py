"""A ring in a Secret, from a stand-in that answers as the Kubernetes API does."""

import base64
import dataclasses
import logging
import pathlib
import pickle
import sys
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from kubernetes.client import ApiClient, V1ObjectMeta, V1Secret

from components.foundation.errors import FalajError, InfrastructureError, Refused, UserError
from components.foundation.sealing import release
from components.foundation.sealing.keys import KeyRing
from components.foundation.sealing.keys.kubernetes_secret import KubernetesSecret
from components.foundation.storage import ObjectStore
from tests import ports
from tests.components.foundation.sealing.keys.standins import serving, status, told

NAME = "kubernetes://oasis/falaj-keys"


def secret(files: dict[str, bytes]) -> Any:
    """Return a Secret as the client's own model of it writes one."""
    data = {name: base64.b64encode(content).decode() for name, content in files.items()}
    metadata = V1ObjectMeta(name="falaj-keys", namespace="oasis")
    made = V1Secret(api_version="v1", kind="Secret", metadata=metadata, data=data, type="Opaque")
    return ApiClient().sanitize_for_serialization(made)


def refusal(code: int, message: str) -> Any:
    return status(code, {"kind": "Status", "status": "Failure", "message": message, "code": code})


@pytest.fixture
def api() -> Iterator[Any]:
    here = told(refusal(500, "nothing was told"))
    with serving(here) as port:
        here.port = port
        yield here


@pytest.fixture
def environment(api: Any, tmp_path: pathlib.Path) -> dict[str, str]:
    return {"FALAJ_KEYS": NAME, "KUBECONFIG": kubeconfig(tmp_path, api.port)}


def kubeconfig(folder: pathlib.Path, port: int) -> str:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "u", "user": {"token": "of-a-person"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    (folder / "kubeconfig").write_text(yaml.safe_dump(config))
    return str(folder / "kubeconfig")


@pytest.fixture
def ring(tmp_path: pathlib.Path) -> dict[str, bytes]:
    KeyRing.create(tmp_path / "ring")
    return {path.name: path.read_bytes() for path in (tmp_path / "ring").iterdir()}


def test_a_ring_is_the_same_in_a_secret_and_in_a_folder(
    api: Any, environment: dict[str, str], ring: dict[str, bytes], tmp_path: pathlib.Path
) -> None:
    api.answer = status(200, secret(ring))

    found = KeyRing.from_environment(environment)

    same = KeyRing.load(tmp_path / "ring")
    assert found.signer_id == same.signer_id
    assert [one.id for one in found.recipients] == [one.id for one in same.recipients]
    assert same.signed_by(b"m", [found.sign(b"m")])


def test_gets_one_secret_by_its_name_once_and_writes_nothing(
    api: Any, environment: dict[str, str], ring: dict[str, bytes], tmp_path: pathlib.Path
) -> None:
    api.answer = status(200, secret(ring))
    before = sorted(tmp_path.rglob("*"))

    KeyRing.from_environment(environment)

    assert api.asked == ["GET /api/v1/namespaces/oasis/secrets/falaj-keys"]
    assert api.tokens == ["Bearer of-a-person"]
    assert sorted(tmp_path.rglob("*")) == before


def test_a_release_is_sealed_by_one_secret_and_opened_by_another(
    api: Any,
    environment: dict[str, str],
    ring: dict[str, bytes],
    store: ObjectStore,
    folder: pathlib.Path,
    unique: str,
) -> None:
    api.answer = status(200, secret(ring))
    maker = KeyRing.from_environment(environment)
    api.answer = status(200, secret({k: v for k, v in ring.items() if k != "signing.pem"}))
    opener = KeyRing.from_environment(environment)

    sealed = release.seal(folder, model=unique, facts={}, store=store, keys=maker)
    release.unseal(sealed.uri, folder.parent / "out", store=store, keys=opener)

    assert (folder.parent / "out/model.onnx").read_bytes() == (folder / "model.onnx").read_bytes()
    with pytest.raises(UserError, match="it opens releases"):
        opener.sign(b"m")


def test_the_layout_of_a_ring_is_read_from_the_secret(
    api: Any, environment: dict[str, str], ring: dict[str, bytes]
) -> None:
    layout = {
        "format": 1,
        "verifiers": [{"file": "verify.pem"}],
        "recipients": [{"key": "old.key", "retired": True}, {"key": "wrapping.key"}],
    }
    files = {**ring, "old.key": b"ab" * 32, "ring.yaml": yaml.safe_dump(layout).encode()}
    api.answer = status(200, secret(files))

    found = KeyRing.from_environment(environment)

    assert (len(found.recipients), len(found.retired)) == (1, 1)
    assert found.signer is None


def test_a_key_that_the_ring_lacks_is_named_with_its_secret(
    api: Any, environment: dict[str, str], ring: dict[str, bytes]
) -> None:
    del ring["wrapping.key"]
    api.answer = status(200, secret(ring))

    with pytest.raises(UserError, match=f"{NAME}/wrapping.key: the Secret has no such key"):
        KeyRing.from_environment(environment)


def test_a_key_that_is_none_is_named_with_its_secret(
    api: Any, environment: dict[str, str], ring: dict[str, bytes]
) -> None:
    api.answer = status(200, secret({**ring, "wrapping.key": b"beef"}))

    with pytest.raises(UserError, match=f"{NAME}/wrapping.key: expected 64 hex digits"):
        KeyRing.from_environment(environment)


@pytest.mark.parametrize(
    ("answer", "error", "code", "said"),
    [
        (refusal(401, "Unauthorized"), Refused, "kubernetes-unauthenticated", "sign in anew"),
        (refusal(403, "cannot get"), Refused, "kubernetes-forbidden", "get on secrets"),
        (refusal(404, "not found"), UserError, "key-missing", "kubectl create secret generic"),
        (refusal(500, "etcd"), InfrastructureError, "kubernetes-failed", "etcd"),
        (refusal(503, "busy"), InfrastructureError, "kubernetes-failed", "busy"),
        (status(200, "<html>"), InfrastructureError, "kubernetes-failed", "no object"),
        (status(200, []), InfrastructureError, "kubernetes-failed", "no object"),
        (status(200, {"data": None}), UserError, "key-missing", "holds no files"),
        (status(200, {"data": ["x"]}), UserError, "key-missing", "holds no files"),
        (status(200, {"data": {"verify.pem": "%"}}), UserError, "key-missing", "holds no files"),
        (status(200, {"data": {"verify.pem": 7}}), UserError, "key-missing", "holds no files"),
    ],
    ids=["401", "403", "404", "500", "503", "page", "list", "empty", "listed", "text", "number"],
)
def test_one_sentence_says_what_is_wrong(
    api: Any,
    environment: dict[str, str],
    answer: Any,
    error: type[FalajError],
    code: str,
    said: str,
) -> None:
    api.answer = answer

    with pytest.raises(error, match=said) as raised:
        KeyRing.from_environment(environment)

    assert raised.value.code == code
    assert "oasis/falaj-keys" in str(raised.value)


def test_an_api_that_is_away_is_said_to_be(tmp_path: pathlib.Path) -> None:
    config = kubeconfig(tmp_path, ports.free())

    with pytest.raises(InfrastructureError, match="did not answer") as raised:
        KubernetesSecret.fetch(NAME, {"KUBECONFIG": config})

    assert "oasis/falaj-keys" in str(raised.value)


def test_nobody_to_ask_is_said(tmp_path: pathlib.Path) -> None:
    with pytest.raises(UserError, match="set KUBECONFIG"):
        KubernetesSecret.fetch(NAME, {})


@pytest.mark.parametrize(
    "name",
    [
        "kubernetes:oasis/keys",
        "kubernetes://keys",
        "kubernetes://oasis/",
        "kubernetes://oasis/keys/more",
        "kubernetes://Oasis/keys",
        "kubernetes://../keys",
        "kubernetes://oasis/keys?x",
    ],
)
def test_refuses_a_name_that_is_no_secret(name: str) -> None:
    with pytest.raises(UserError, match="expected kubernetes://NAMESPACE/SECRET"):
        KeyRing.from_environment({"FALAJ_KEYS": name})


def test_where_the_client_is_not_installed_a_folder_is_asked_for(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "kubernetes", None)

    with pytest.raises(UserError, match="mount the Secret"):
        KeyRing.from_environment(environment)


@pytest.mark.parametrize("cut", [0, 40], ids=["whole", "cut"])
def test_no_log_or_failure_shows_what_a_secret_holds(
    api: Any,
    environment: dict[str, str],
    ring: dict[str, bytes],
    caplog: pytest.LogCaptureFixture,
    cut: int,
) -> None:
    """The client logs each answer at level DEBUG; one that is cut is shown by the JSON's error."""
    del ring["verify.pem"]
    hidden = base64.b64encode(ring["wrapping.key"]).decode()
    text = str(secret(ring)).replace("'", '"')
    api.answer = status(200, text[: len(text) - cut])

    with caplog.at_level(logging.DEBUG):
        with pytest.raises(FalajError) as raised:
            KeyRing.from_environment(environment)
        logging.getLogger("kubernetes.client.rest").debug("of another answer")

    shown = "".join(traceback.format_exception(raised.value)) + _chain(raised.value)
    assert "of another answer" in caplog.text
    assert hidden in text
    assert hidden not in shown + caplog.text
    assert ring["wrapping.key"].decode() not in shown + caplog.text


def test_what_holds_the_files_does_not_show_them(
    api: Any, environment: dict[str, str], ring: dict[str, bytes]
) -> None:
    api.answer = status(200, secret(ring))
    found = KubernetesSecret.fetch(NAME, environment)

    shown = f"{found!r} {dataclasses.asdict(found)}"

    assert found.read_secret("wrapping.key") == ring["wrapping.key"]
    assert repr(ring["wrapping.key"]) not in shown
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(found)


def _chain(error: BaseException | None) -> str:
    """Show an error and all that lies behind it, with what each holds."""
    return f"{error!r} {vars(error)} {_chain(error.__context__)}" if error else ""
