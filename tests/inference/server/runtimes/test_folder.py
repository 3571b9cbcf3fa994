import json
import pathlib

import pytest

from components.foundation.errors import UserError
from inference.server.runtimes import load
from inference.server.runtimes.folder import Folder
from tests.inference.server.runtimes.releases import release_json


def read(folder: pathlib.Path) -> Folder:
    return Folder.read(folder, name="delays")


def test_the_version_is_the_releases(folder: pathlib.Path) -> None:
    assert (read(folder).version, read(folder).sealed) == ("0", False)

    release_json(folder)

    assert (read(folder).version, read(folder).sealed) == ("0123456789ab", True)


@pytest.mark.parametrize("other", ["model.pt2", "program.pt2", "saved_model.pb"])
def test_takes_the_one_program_and_refuses_to_choose(folder: pathlib.Path, other: str) -> None:
    (folder / other).write_bytes(b"")
    with pytest.raises(UserError, match=rf"holds model\.onnx and {other}"):
        read(folder)

    (folder / "model.onnx").unlink()
    assert read(folder).file == folder / other


def test_names_what_it_looked_for_in_a_folder_without_a_program(folder: pathlib.Path) -> None:
    (folder / "model.onnx").unlink()

    with pytest.raises(UserError, match=r"model\.onnx: missing, .*model\.pt2.*saved_model"):
        read(folder)


def test_refuses_files_that_changed_since_they_were_opened(folder: pathlib.Path) -> None:
    release_json(folder)
    with (folder / "model.onnx").open("ab") as file:
        file.write(b"\0")

    with pytest.raises(UserError, match=r"model\.onnx: is sha256:.* the release has"):
        read(folder)


def test_refuses_a_file_that_went(folder: pathlib.Path) -> None:
    release_json(folder)
    (folder / "model.json").unlink()

    with pytest.raises(UserError, match=r"model\.json: is missing, the release has"):
        read(folder)


@pytest.mark.parametrize("name", ["weights.bin", "deep/weights.bin"])
def test_refuses_a_file_that_the_release_does_not_cover(folder: pathlib.Path, name: str) -> None:
    release_json(folder)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"weights")

    with pytest.raises(UserError, match=rf"{name}: is not of the release"):
        read(folder)


def test_refuses_a_link_that_the_release_does_not_cover(folder: pathlib.Path) -> None:
    release_json(folder)
    (folder / "weights.bin").symlink_to("/nowhere")

    with pytest.raises(UserError, match=r"weights\.bin: is not of the release"):
        read(folder)


def test_refuses_a_release_of_another_model(folder: pathlib.Path) -> None:
    release_json(folder, model="arrivals")

    with pytest.raises(UserError, match="holds a release of 'arrivals'"):
        read(folder)


def test_refuses_half_a_release(folder: pathlib.Path) -> None:
    (folder / "release.json").write_text(json.dumps({"model": "delays"}))

    with pytest.raises(UserError, match=r"release\.json: lacks files, version"):
        read(folder)


def test_says_that_the_signature_is_missing_or_broken(folder: pathlib.Path) -> None:
    (folder / "signature.json").write_bytes(b"broken")
    with pytest.raises(UserError, match=r"signature\.json: .*expected JSON"):
        read(folder)

    (folder / "signature.json").unlink()
    with pytest.raises(UserError, match=r"signature\.json: missing"):
        read(folder)


def test_a_program_is_refused_where_its_framework_is_not(
    folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "model.onnx").rename(folder / "model.pt2")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(UserError, match="needs torch") as told:
        load(folder, name="delays", threads=1, unsafe_unsealed=True)

    assert told.value.code == "program-needs-framework"
