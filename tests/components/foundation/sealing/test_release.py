import errno
import json
import os
import pathlib
import re
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from components.foundation import digests
from components.foundation.errors import Refused, UserError
from components.foundation.sealing import release
from components.foundation.sealing.keys import KeyRing, care
from components.foundation.sealing.keys.care import Kept
from components.foundation.sealing.measured import Measured
from components.foundation.sealing.release import Release
from components.foundation.sealing.statement import SealedFile
from components.foundation.storage import NotFound, ObjectStore

Seal = Callable[..., Release]


def contents(folder: pathlib.Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_what_is_sealed_opens(
    seal: Seal,
    store: ObjectStore,
    keys: KeyRing,
    folder: pathlib.Path,
    tmp_path: pathlib.Path,
    unique: str,
) -> None:
    sealed = seal(model=unique, training="s3://falaj-features/t@3")

    opened = release.unseal(sealed.uri, tmp_path / "out", store=store, keys=keys)

    got = contents(tmp_path / "out")
    said, signature = json.loads(got.pop("release.json")), got.pop("model.sig")
    assert got == contents(folder)
    assert opened == sealed
    assert (said["model"], said["version"], said["uri"]) == (unique, sealed.version, sealed.uri)
    assert said["files"]["model.onnx"] == str(digests.of_file(folder / "model.onnx"))
    assert said["files"]["model.sig"] == str(digests.of_bytes(signature))
    assert said["facts"] == {"training": "s3://falaj-features/t@3"}


def test_opened_files_are_read_only(
    seal: Seal, store: ObjectStore, keys: KeyRing, tmp_path: pathlib.Path, unique: str
) -> None:
    release.unseal(seal(model=unique).uri, tmp_path / "out", store=store, keys=keys)

    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o444}


def test_a_file_that_has_no_room_fails_before_anything_is_decrypted(
    seal: Seal,
    store: ObjectStore,
    keys: KeyRing,
    tmp_path: pathlib.Path,
    unique: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = list[int]()

    def full(_: int, start: int, size: int) -> None:
        asked.append(start + size)
        raise OSError(errno.ENOSPC, "no space left on device")

    sealed = seal(model=unique)
    monkeypatch.setattr(os, "posix_fallocate", full)

    with pytest.raises(OSError, match="no space left"):
        release.unseal(sealed.uri, tmp_path / "out", store=store, keys=keys)

    assert set(asked) <= {file.size for file in sealed.statement.files} - {0}
    left = contents(tmp_path / "out" / ".unsealing").items()
    assert not any(data for name, data in left if name != "model.sig")


def test_the_store_holds_no_plaintext(
    seal: Seal, store: ObjectStore, folder: pathlib.Path, unique: str
) -> None:
    sealed = seal(model=unique)

    stored = [store.get(item.address) for item in store.list(sealed.location.address)]
    for data in contents(folder).values():
        assert not data or all(data[:64] not in thing for thing in stored)


def test_sealing_twice_writes_once(seal: Seal, store: ObjectStore, unique: str) -> None:
    first = seal(model=unique, code="abc")
    before = {item.address: item.etag for item in store.list(first.location.address)}

    second = seal(model=unique, code="abc")

    assert second == first
    assert {item.address: item.etag for item in store.list(first.location.address)} == before


def test_another_fact_file_or_name_is_another_version(
    seal: Seal, folder: pathlib.Path, unique: str
) -> None:
    versions = {seal(model=unique).version, seal(model=unique, code="abc").version}
    versions.add(seal(model=f"{unique}-b").version)
    (folder / "contract.yaml").write_text("table: planes")
    versions.add(seal(model=unique).version)

    assert len(versions) == 4


def test_a_half_written_release_is_none_and_is_completed_by_sealing_again(
    seal: Seal, store: ObjectStore, keys: KeyRing, tmp_path: pathlib.Path, unique: str
) -> None:
    sealed = seal(model=unique)
    before = {item.address: item.etag for item in store.list(sealed.location.address)}
    store.delete(sealed.location.address / "statement.json")
    store.delete(sealed.location.address / "files/signature.json")

    with pytest.raises(NotFound, match="nothing signed lies there"):
        release.unseal(sealed.uri, tmp_path / "out", store=store, keys=keys)
    assert seal(model=unique) == sealed

    after = {item.address: item.etag for item in store.list(sealed.location.address)}
    del before[sealed.location.address / "statement.json"]
    assert before.items() <= after.items()
    release.unseal(sealed.uri, tmp_path / "out", store=store, keys=keys)


def test_racing_sealers_make_one_sound_release(
    store: ObjectStore, keys: KeyRing, folder: pathlib.Path, tmp_path: pathlib.Path, unique: str
) -> None:
    def seal(_: int) -> str:
        return release.seal(folder, model=unique, facts={}, store=store, keys=keys).uri

    with ThreadPoolExecutor(6) as pool:
        uris = set(pool.map(seal, range(6)))

    assert len(uris) == 1
    release.unseal(uris.pop(), tmp_path / "out", store=store, keys=keys)


def test_releases_lists_what_is_signed(seal: Seal, store: ObjectStore, unique: str) -> None:
    sealed = seal(model=unique)

    assert [uri for uri in release.releases(store=store) if unique in uri] == [sealed.uri]


def test_one_file_can_be_read_alone(
    seal: Seal, store: ObjectStore, keys: KeyRing, unique: str
) -> None:
    sealed = seal(model=unique)

    data = release.read_file(sealed.uri, "contract.yaml", store=store, keys=keys)

    assert data == b"table: flights"
    with pytest.raises(UserError, match=r"did you mean 'contract\.yaml'"):
        release.read_file(sealed.uri, "contract.yml", store=store, keys=keys)


def test_a_part_of_a_file_can_be_read_alone(
    seal: Seal, store: ObjectStore, keys: KeyRing, folder: pathlib.Path, unique: str
) -> None:
    uri, whole = seal(model=unique).uri, (folder / "model.onnx").read_bytes()

    def part(offset: int, length: int | None) -> bytes:
        return release.read_file(
            uri, "model.onnx", store=store, keys=keys, offset=offset, length=length
        )

    assert part(1_500_000, 100) == whole[1_500_000:1_500_100]
    assert part(2_000_000, None) == whole[2_000_000:]
    assert part(0, 10) == whole[:10]
    with pytest.raises(UserError, match="the file has 2304000 bytes"):
        part(-1, 5)
    with pytest.raises(UserError, match="the file has 2304000 bytes"):
        part(2_304_001, None)


def test_a_ring_that_cannot_sign_opens_and_does_not_seal(
    seal: Seal,
    store: ObjectStore,
    keys: KeyRing,
    folder: pathlib.Path,
    tmp_path: pathlib.Path,
    unique: str,
) -> None:
    sealed = seal(model=unique)
    care.share(Kept.load(tmp_path / "keys"), tmp_path / "pod")
    opener = KeyRing.load(tmp_path / "pod")

    release.unseal(sealed.uri, tmp_path / "out", store=store, keys=opener)

    with pytest.raises(UserError, match="sign with the ring that makes them"):
        release.seal(folder, model=unique, facts={"new": 1}, store=store, keys=opener)


def test_refuses_to_mix_with_other_files(
    seal: Seal, store: ObjectStore, keys: KeyRing, tmp_path: pathlib.Path, unique: str
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/left-over.pkl").touch()

    with pytest.raises(UserError, match=r"left-over\.pkl: is not of release"):
        release.unseal(seal(model=unique).uri, tmp_path / "out", store=store, keys=keys)


def test_refuses_to_mix_with_another_release(
    seal: Seal, store: ObjectStore, keys: KeyRing, tmp_path: pathlib.Path, unique: str
) -> None:
    first, second = seal(model=unique), seal(model=unique, code="b")
    release.unseal(first.uri, tmp_path / "out", store=store, keys=keys)
    before = contents(tmp_path / "out")

    with pytest.raises(UserError, match=re.escape(f"holds {first.uri}, not release {second.uri}")):
        release.unseal(second.uri, tmp_path / "out", store=store, keys=keys)

    assert contents(tmp_path / "out") == before


def test_refuses_a_file_that_changes_after_it_was_digested(
    seal: Seal, folder: pathlib.Path, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = release._put

    def change(measured: Measured, **where: Any) -> SealedFile:
        if measured.path == "contract.yaml":
            measured.file.write_text("table: planes!")
        return put(measured, **where)

    monkeypatch.setattr(release, "_put", change)

    with pytest.raises(UserError, match=r"contract\.yaml: changed while it was sealed"):
        seal(model=unique)


def test_unsealing_again_repairs_what_was_changed(
    seal: Seal,
    store: ObjectStore,
    keys: KeyRing,
    folder: pathlib.Path,
    tmp_path: pathlib.Path,
    unique: str,
) -> None:
    sealed = seal(model=unique)
    release.unseal(sealed.uri, tmp_path / "out", store=store, keys=keys)
    (tmp_path / "out/contract.yaml").chmod(0o644)
    (tmp_path / "out/contract.yaml").write_text("changed")
    (tmp_path / "out/.unsealing").mkdir()
    (tmp_path / "out/.unsealing/half").touch()

    release.unseal(sealed.uri, tmp_path / "out", store=store, keys=keys)

    got = contents(tmp_path / "out")
    del got["release.json"], got["model.sig"]
    assert got == contents(folder)


@pytest.mark.parametrize(
    "name",
    ["release.json", "Release.JSON", "model.sig", ".hidden", "a b", "back\\slash", "Ünicode"],
)
def test_refuses_a_path_that_is_unfit(
    seal: Seal, folder: pathlib.Path, unique: str, name: str
) -> None:
    (folder / name).touch()

    with pytest.raises(UserError, match="not a path of a release"):
        seal(model=unique)


def test_refuses_links_twins_and_nothing(seal: Seal, folder: pathlib.Path, unique: str) -> None:
    (folder / "MODEL.onnx").touch()
    with pytest.raises(UserError, match="differ only in case"):
        seal(model=unique)

    (folder / "MODEL.onnx").unlink()
    (folder / "Extra").mkdir()
    (folder / "Extra/other.txt").touch()
    with pytest.raises(UserError, match="'extra' and 'Extra': differ only in case"):
        seal(model=unique)

    (folder / "link").symlink_to("/etc/passwd")
    with pytest.raises(UserError, match="is a link"):
        seal(model=unique)

    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    with pytest.raises(UserError, match="holds no files"):
        seal(model=unique)


@pytest.mark.parametrize("name", ["Delays", "a/b", "..", "", "-a", "a" * 64])
def test_refuses_a_model_name_that_is_unfit(seal: Seal, name: str) -> None:
    with pytest.raises(UserError, match="expected at most 63"):
        seal(model=name)


def test_refuses_a_fact_that_is_no_json(seal: Seal, unique: str) -> None:
    with pytest.raises(UserError, match="expected plain JSON values"):
        seal(model=unique, when=pathlib.Path("x"))


def test_refuses_to_seal_where_another_has_signed(
    seal: Seal, store: ObjectStore, folder: pathlib.Path, tmp_path: pathlib.Path, unique: str
) -> None:
    seal(model=unique)
    other = KeyRing.create(tmp_path / "other")

    with pytest.raises(Refused, match="not signed by our signer"):
        release.seal(folder, model=unique, facts={}, store=store, keys=other)


def test_refuses_another_content_under_the_same_version(
    seal: Seal, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    collision = property(lambda self: "0" * 12)
    monkeypatch.setattr(digests.Digest, "short", collision)
    seal(model=unique)

    with pytest.raises(Refused, match="versions are written once"):
        seal(model=unique, code="other")
