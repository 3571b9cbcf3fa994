"""Releases that lie in folders open like those on a store, and links lead nowhere."""

import os
import pathlib
import shutil

import pytest

from components.foundation.errors import FalajError, Refused, UserError
from components.foundation.sealing import release
from components.foundation.sealing.keys import KeyRing
from components.foundation.sealing.release import Release
from components.foundation.sealing.source import Files
from components.foundation.storage import Address, NotFound, ObjectStore
from tests.components.foundation.sealing.memory import Memory


@pytest.fixture
def made(folder: pathlib.Path, keys: KeyRing, tmp_path: pathlib.Path) -> Release:
    """A release, of which every object lies as a file below `lies/models`."""
    store = Memory()
    made = release.seal(folder, model="delays", facts={}, store=store, keys=keys)
    for address, data in store.objects.items():
        path = tmp_path / "lies/models" / address.key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return made


@pytest.fixture
def lies(made: Release, tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "lies/models/delays" / made.version


def named(lies: pathlib.Path) -> str:
    return f"sealed+file://{lies}"


def test_a_folder_opens(
    made: Release, lies: pathlib.Path, folder: pathlib.Path, keys: KeyRing, tmp_path: pathlib.Path
) -> None:
    opened = release.unseal(named(lies), tmp_path / "out", store=Files.mounted(), keys=keys)

    assert opened.statement == made.statement
    assert (tmp_path / "out/model.onnx").read_bytes() == (folder / "model.onnx").read_bytes()
    assert release.verify(named(lies), store=Files.mounted(), keys=keys).uri == named(lies)
    part = release.read_file(
        named(lies), "model.onnx", store=Files.mounted(), keys=keys, offset=1, length=2
    )
    assert part == (folder / "model.onnx").read_bytes()[1:3]


def test_a_claim_opens_from_where_it_is_mounted(
    made: Release, keys: KeyRing, tmp_path: pathlib.Path
) -> None:
    uri = f"sealed+pvc://lies/models/delays/{made.version}"

    release.unseal(uri, tmp_path / "out", store=Files.mounted(tmp_path), keys=keys)

    assert (tmp_path / "out/model.onnx").exists()


def test_a_folder_that_is_not_there_is_named(keys: KeyRing, tmp_path: pathlib.Path) -> None:
    uri = f"sealed+file://{tmp_path}/delays/0123456789ab"

    with pytest.raises(NotFound, match=r"sealed\+file:.*: not found; nothing signed lies there"):
        release.unseal(uri, tmp_path / "out", store=Files.mounted(), keys=keys)


def test_a_claim_that_is_not_mounted_is_told_from_a_release_that_is_not_there(
    made: Release, keys: KeyRing, tmp_path: pathlib.Path
) -> None:
    uri, store = f"sealed+pvc://claim/delays/{made.version}", Files.mounted(tmp_path / "pvc")

    with pytest.raises(UserError, match="pvc/claim; mount the claim there"):
        release.unseal(uri, tmp_path / "out", store=store, keys=keys)
    (tmp_path / "pvc/claim").mkdir(parents=True)
    with pytest.raises(NotFound, match="nothing signed lies there"):
        release.unseal(uri, tmp_path / "out", store=store, keys=keys)


def swap_for_link(lies: pathlib.Path, path: str) -> None:
    """Put a link where something lay, to a copy of it that is as good."""
    elsewhere = lies.parent / "elsewhere"
    shutil.move(lies / path, elsewhere)
    (lies / path).symlink_to(elsewhere)


@pytest.mark.parametrize("path", ["files/model.onnx", "files", "statement.json", "keys.json", "."])
def test_a_link_is_refused_even_to_the_same_bytes(
    lies: pathlib.Path, keys: KeyRing, tmp_path: pathlib.Path, path: str
) -> None:
    swap_for_link(lies, path) if path != "." else swap_for_link(lies.parent, lies.name)

    with pytest.raises(Refused, match="is a link, lies behind one, or is no plain file"):
        release.unseal(named(lies), tmp_path / "out", store=Files.mounted(), keys=keys)

    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("path", ["files/model.onnx", "statement.json", "files/pipe"])
def test_a_pipe_is_refused_without_waiting_for_it(
    lies: pathlib.Path, keys: KeyRing, tmp_path: pathlib.Path, path: str
) -> None:
    (lies / path).unlink(missing_ok=True)
    os.mkfifo(lies / path)

    with pytest.raises(Refused, match="is no plain file"):
        release.unseal(named(lies), tmp_path / "out", store=Files.mounted(), keys=keys)


def test_a_file_too_many_is_refused(
    lies: pathlib.Path, keys: KeyRing, tmp_path: pathlib.Path
) -> None:
    (lies / "files/.hidden").write_bytes(b"more")

    with pytest.raises(Refused, match=r"\.hidden is 4 bytes, the statement covers no such object"):
        release.unseal(named(lies), tmp_path / "out", store=Files.mounted(), keys=keys)


def test_a_statement_larger_than_any_is_refused(
    lies: pathlib.Path, keys: KeyRing, tmp_path: pathlib.Path
) -> None:
    with (lies / "statement.json").open("r+b") as file:
        file.truncate(1 << 40)

    with pytest.raises(Refused, match="more than 4194304 bytes"):
        release.unseal(named(lies), tmp_path / "out", store=Files.mounted(), keys=keys)


def test_an_object_store_does_not_take_a_folder_for_a_bucket(store: ObjectStore) -> None:
    with pytest.raises(FalajError, match="does not lie on the object store"):
        store.get(Address("", "etc/passwd", "file"))
