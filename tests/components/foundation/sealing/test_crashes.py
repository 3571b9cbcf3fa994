"""Killed anywhere, sealing and opening leave what was there before, and a second run completes."""

import os
import pathlib
from collections.abc import Callable
from typing import Any

import pytest

from components.foundation.sealing import release, space
from components.foundation.sealing.keys import KeyRing
from components.foundation.sealing.release import Release
from components.foundation.storage import Address
from tests.components.foundation.sealing.memory import Killed, Memory

pytestmark = pytest.mark.usefixtures("one_at_a_time")


def seal(folder: pathlib.Path, store: Memory, keys: KeyRing) -> Release:
    return release.seal(folder, model="delays", facts={"code": "a"}, store=store, keys=keys)


def contents(folder: pathlib.Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def killed_at(number: int, store: Memory, do: Callable[[], object]) -> bool:
    """Do something until the store's operation of that number; say whether there was one."""
    store.operations, store.dies_at = 0, number
    try:
        do()
    except Killed:
        return True
    finally:
        store.dies_at = 0
    return False


def test_sealing_that_was_killed_is_no_release_and_is_completed_by_sealing_again(
    folder: pathlib.Path, keys: KeyRing, tmp_path: pathlib.Path
) -> None:
    number, others = 1, {Address("falaj-models", "delays/older/statement.json"): b"before"}

    while True:
        store = Memory(others)
        if not killed_at(number, store, lambda: seal(folder, store, keys)):  # noqa: B023
            break
        assert others.items() <= store.objects.items()
        left = {address for address in store.objects if address.key.endswith("statement.json")}
        written = dict(store.objects)
        done = seal(folder, store, keys)
        assert len(left) == 1 or done.location.address / "statement.json" in left
        for address in (done.location.address / "keys.json", done.location.address / "model.sig"):
            assert written.get(address, store.objects[address]) == store.objects[address]
        out = tmp_path / str(number)
        release.unseal(done.uri, out, store=store, keys=keys)
        assert contents(folder).items() <= contents(out).items()
        number += 1

    assert number > 14


def test_opening_that_was_killed_leaves_the_folder_and_is_completed_by_opening_again(
    folder: pathlib.Path, keys: KeyRing, tmp_path: pathlib.Path
) -> None:
    store, number = Memory(), 1
    made = seal(folder, store, keys)

    while True:
        out = tmp_path / str(number)
        if not killed_at(
            number,
            store,
            lambda: release.unseal(made.uri, out, store=store, keys=keys),  # noqa: B023
        ):
            break
        assert not out.exists() or not contents(out)
        release.unseal(made.uri, out, store=store, keys=keys)
        assert contents(folder).items() <= contents(out).items()
        number += 1

    assert number >= 9


@pytest.mark.parametrize("before", ["nothing", "the release"])
def test_opening_killed_while_files_go_in_place_is_never_taken_for_whole(
    folder: pathlib.Path,
    keys: KeyRing,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    before: str,
) -> None:
    store, number = Memory(), 0
    made = seal(folder, store, keys)
    replace = os.replace

    def dies_at(number: int) -> Callable[..., None]:
        left = iter(range(number))

        def replaced(source: Any, target: Any) -> None:
            if next(left, None) is None:
                raise Killed
            replace(source, target)

        return replaced

    while True:
        out = tmp_path / f"{number}"
        if before == "the release":
            release.unseal(made.uri, out, store=store, keys=keys)
        monkeypatch.setattr(os, "replace", dies_at(number))
        try:
            release.unseal(made.uri, out, store=store, keys=keys)
            break
        except Killed:
            monkeypatch.setattr(os, "replace", replace)
        got = contents(out)
        whole = {**contents(folder)}
        assert all(whole.get(name, data) == data for name, data in got.items())
        assert before == "the release" or "release.json" not in got
        release.unseal(made.uri, out, store=store, keys=keys)
        assert whole.items() <= contents(out).items()
        number += 1

    added = {"model.sig", "release.json"}
    assert number == len(added) + (len(contents(folder)) if before == "nothing" else 0)


def test_a_process_that_vanished_while_it_wrote_leaves_what_the_next_removes(
    folder: pathlib.Path, keys: KeyRing, tmp_path: pathlib.Path
) -> None:
    store = Memory()
    made = seal(folder, store, keys)
    half = tmp_path / "out/.unsealing/extra"
    half.mkdir(parents=True)
    (half / "half").write_bytes(b"plaintext of somebody who was killed")

    release.unseal(made.uri, tmp_path / "out", store=store, keys=keys)

    assert contents(tmp_path / "out").keys() == {*contents(folder), "model.sig", "release.json"}


def test_a_file_of_the_right_size_and_other_bytes_is_fetched_again(
    folder: pathlib.Path, keys: KeyRing, tmp_path: pathlib.Path
) -> None:
    store, right = Memory(), (folder / "model.onnx").read_bytes()
    made = seal(folder, store, keys)
    half = tmp_path / "out/.unsealing/model.onnx"
    half.parent.mkdir(parents=True)
    half.write_bytes(right[:-1] + b"?")

    release.unseal(made.uri, tmp_path / "out", store=store, keys=keys)

    assert (tmp_path / "out/model.onnx").read_bytes() == right


@pytest.mark.parametrize("link", ["model.onnx", "extra"])
def test_a_link_that_somebody_left_is_not_written_through(
    folder: pathlib.Path, keys: KeyRing, tmp_path: pathlib.Path, link: str
) -> None:
    store, victim = Memory(), tmp_path / "victim"
    made = seal(folder, store, keys)
    victim.mkdir()
    (victim / "file").write_bytes(b"as it was")
    half = tmp_path / "out/.unsealing" / link
    half.parent.mkdir(parents=True)
    half.symlink_to(victim / "file" if link == "model.onnx" else victim)

    release.unseal(made.uri, tmp_path / "out", store=store, keys=keys)

    assert contents(victim) == {"file": b"as it was"}
    assert contents(folder).items() <= contents(tmp_path / "out").items()


def test_what_is_half_makes_room_before_room_is_asked_for(
    folder: pathlib.Path, keys: KeyRing, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a volume for one and a half of the model would refuse whoever was killed, for good."""
    store, half = Memory(), tmp_path / "out/.unsealing/model.onnx"
    made = seal(folder, store, keys)
    half.parent.mkdir(parents=True)
    half.write_bytes((folder / "model.onnx").read_bytes()[:-1])
    there: list[bool] = []
    monkeypatch.setattr(space, "check", lambda *_: there.append(half.exists()))

    release.unseal(made.uri, tmp_path / "out", store=store, keys=keys)

    assert there == [False]


@pytest.mark.parametrize("name", ["model.onnx", "model.sig", "release.json"])
def test_a_file_that_somebody_left_is_replaced_and_not_written(
    folder: pathlib.Path, keys: KeyRing, tmp_path: pathlib.Path, name: str
) -> None:
    """Left read-only just before it went in place, it could not be; and it may be a link's twin."""
    store, twin, left = Memory(), tmp_path / "twin", tmp_path / "out/.unsealing" / name
    made = seal(folder, store, keys)
    left.parent.mkdir(parents=True)
    left.write_bytes(b"as it was")
    left.chmod(0o444)
    twin.hardlink_to(left)

    release.unseal(made.uri, tmp_path / "out", store=store, keys=keys)

    assert twin.read_bytes() == b"as it was"
    assert (tmp_path / "out" / name).read_bytes() != b"as it was"


def test_a_link_in_place_to_the_right_bytes_becomes_a_file(
    folder: pathlib.Path, keys: KeyRing, tmp_path: pathlib.Path
) -> None:
    store, out = Memory(), tmp_path / "out"
    made = seal(folder, store, keys)
    out.mkdir()
    (out / "model.onnx").symlink_to(folder / "model.onnx")

    release.unseal(made.uri, out, store=store, keys=keys)

    assert not (out / "model.onnx").is_symlink()
    assert (out / "model.onnx").read_bytes() == (folder / "model.onnx").read_bytes()
