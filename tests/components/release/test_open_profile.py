import pathlib

import pytest
from kfp import dsl

from components.foundation.sealing import channel, release
from components.foundation.sealing.keys import KeyRing
from components.foundation.storage import ObjectStore
from components.release.open_profile.component import open_profile


@pytest.fixture
def uri(store: ObjectStore, keys: KeyRing, tmp_path: pathlib.Path, unique: str) -> str:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "profile.json").write_text('{"columns": []}')
    return release.seal(folder, model=unique, facts={}, store=store, keys=keys).uri


@pytest.fixture
def profile(tmp_path: pathlib.Path) -> dsl.Artifact:
    return dsl.Artifact(uri=str(tmp_path / "out/profile"))


def test_opens_the_profile_of_a_release(uri: str, profile: dsl.Artifact, unique: str) -> None:
    assert open_profile.python_func(release=uri, model_name=unique, profile=profile) == uri

    assert pathlib.Path(profile.path).read_text() == '{"columns": []}'
    assert profile.metadata["release"] == uri


def test_opens_the_champions_when_none_is_named(
    uri: str, profile: dsl.Artifact, store: ObjectStore, keys: KeyRing, unique: str
) -> None:
    channel.move(unique, uri, store=store, keys=keys, reason="first")

    assert open_profile.python_func(model_name=unique, profile=profile) == uri


def test_says_that_there_is_no_champion(
    uri: str, profile: dsl.Artifact, unique: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        open_profile.python_func(model_name=unique, profile=profile)

    assert ended.value.code == 2
    assert "points nowhere yet" in capsys.readouterr().err
