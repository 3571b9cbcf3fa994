import pathlib

import pytest

from components.foundation.audit import AuditLog
from components.foundation.sealing import channel, release
from components.foundation.sealing.keys import KeyRing
from components.foundation.storage import ObjectStore
from components.release.register.component import register


@pytest.fixture
def uri(store: ObjectStore, keys: KeyRing, tmp_path: pathlib.Path, unique: str) -> str:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "model.onnx").touch()
    return release.seal(folder, model=unique, facts={}, store=store, keys=keys).uri


def test_a_channel_points_at_what_is_registered(
    uri: str, store: ObjectStore, keys: KeyRing, unique: str
) -> None:
    move = {"release": uri, "model_name": unique, "channel": "candidate", "reason": "new"}

    said = register.python_func(**move)
    assert register.python_func(**move) == said

    pointer = channel.current(unique, store=store, keys=keys, channel="candidate")
    assert pointer is not None
    assert (pointer.uri, pointer.reason, str(pointer)) == (uri, "new", said)
    [entry] = [e for e in AuditLog(store).entries() if e.subject == f"{unique}/candidate"]
    assert (entry.kind, entry.body["uri"]) == ("channel", uri)


def test_refuses_a_release_of_another_model(
    uri: str, unique: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        register.python_func(release=uri, model_name="another")

    assert ended.value.code == 2
    assert f"is a release of {unique}" in capsys.readouterr().err
