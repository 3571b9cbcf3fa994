import json
import os
import pathlib
import struct
import zipfile
from typing import Any

import numpy as np
import pytest

from components.release.scan_model.limits import Limits
from tests.components.release import scan_samples as samples
from tests.components.release.scan_samples import refusals, scanned


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "model"
    path.mkdir()
    return path


def tensor(start: int = 0, end: int = 8, **more: Any) -> dict[str, Any]:
    return {"dtype": "F32", "shape": [2], "data_offsets": [start, end], **more}


def weights(data: bytes = bytes(8), **tensors: Any) -> bytes:
    return samples.safetensors(json.dumps(tensors).encode(), data)


def test_safetensors_are_let_through(folder: pathlib.Path) -> None:
    content = weights(bytes(16), b=tensor(8, 16), a=tensor(), __metadata__={"format": "pt"})
    (folder / "model.safetensors").write_bytes(content)

    found = scanned(folder)

    assert found.refused == []
    assert found.counts["tensors"] == 2


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (weights(bytes(16), a=tensor()), "8 bytes that belong to no tensor"),
        (weights(bytes(16), a=tensor(8, 16)), "a: follows bytes of no tensor"),
        (weights(bytes(12), a=tensor(), b=tensor(4, 12)), "b: overlaps the tensor before it"),
        (weights(a=tensor(0, 8, shape=[3])), "a: 8 bytes, its shape needs 12"),
        (weights(a=tensor(0, 8, shape=[-2])), "a: a size of -2"),
        (weights(a=tensor(0, 8, shape=[1 << 62, 1 << 62])), "its shape needs"),
        (weights(a=tensor(0, 8, shape=[1] * 65)), "65 dimensions"),
        (weights(a=tensor(0, 8, dtype="OBJECT")), "type OBJECT"),
        (weights(a=tensor(0, 8, more=1)), "more than is known"),
        (weights(a=[1]), "no tensor of dtype"),
        (samples.safetensors(b'{"a":1,"a":2}'), "one key twice"),
        (samples.safetensors(b"[" * 100_000), "does not begin with {"),
        (samples.safetensors(b'{"a":' * 100_000), "no JSON"),
        (struct.pack("<Q", 1 << 60) + b"{}", "a header of"),
        (b"short", "shorter than"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_safetensors_with_room_for_something_else_are_refused(
    folder: pathlib.Path, content: bytes, says: str
) -> None:
    (folder / "model.safetensors").write_bytes(content)

    [said] = refusals(folder)
    assert said.startswith("model.safetensors: broken")
    assert says in said


def with_members(folder: pathlib.Path, *names: str, **more: Any) -> list[str]:
    (folder / "x.npz").write_bytes(samples.zipped(dict.fromkeys(names, b"x"), **more))
    return refusals(folder)


@pytest.mark.parametrize(
    "names",
    [("../x.npy",), ("/x.npy",), ("a/../../x",), ("a\\x",), ("a.npy", "A.npy"), ("ﬁ", "fi")],
    ids=str,
)
def test_archives_with_names_that_lead_outside_or_twins_are_refused(
    folder: pathlib.Path, names: tuple[str, ...]
) -> None:
    assert any("x.npz: broken" in line for line in with_members(folder, *names))


def test_a_bomb_is_refused_before_it_is_unpacked(folder: pathlib.Path) -> None:
    member = {"a.npy": bytes(64 << 20)}
    (folder / "x.npz").write_bytes(samples.zipped(member, zipfile.ZIP_DEFLATED))

    [said] = refusals(folder)
    assert said.startswith("x.npz: bomb: a.npy: unpacks 65")


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz"])
def test_a_compressed_bomb_is_refused(folder: pathlib.Path, suffix: str) -> None:
    import importlib

    module = importlib.import_module({"gz": "gzip", "bz2": "bz2", "xz": "lzma"}[suffix])
    (folder / f"x.{suffix}").write_bytes(module.compress(bytes(64 << 20)))

    assert any(f"x.{suffix}: bomb: unpacks to more" in line for line in refusals(folder))


def test_archives_that_nest_too_deep_are_refused(folder: pathlib.Path) -> None:
    content = samples.zipped({"x": b"x"})
    for _ in range(8):
        content = samples.zipped({"x.zip": content})
    (folder / "x.zip").write_bytes(content)

    assert any("archives in archives, deeper than" in line for line in refusals(folder))


def npz() -> bytes:
    import io

    file = io.BytesIO()
    np.savez(file, a=np.arange(3), b=np.zeros((2, 2), np.float16))
    return file.getvalue()


def test_arrays_of_numbers_are_let_through(folder: pathlib.Path) -> None:
    (folder / "x.npz").write_bytes(npz())
    np.save(folder / "y.npy", np.zeros(2, [("a", "<f4"), ("b", "<i8", (2,))]))
    np.save(folder / "z.npy", np.array(["2013-01-01"], "M8[ns]"))

    assert refusals(folder) == []


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (npz() + b"tail", "bytes after its list"),
        (b"head" + npz(), "belong to no member"),
        (npz().replace(b"a.npy", b"c.npy", 1), "in its header"),
        (npz()[:-30], "zip"),
    ],
    ids=["tail", "head", "two names", "cut"],
)
def test_an_archive_that_two_readers_would_read_differently_is_refused(
    folder: pathlib.Path, content: bytes, says: str
) -> None:
    (folder / "x.npz").write_bytes(content)

    assert any(says in line for line in refusals(folder))


def test_keras_layers_that_are_functions_are_named(folder: pathlib.Path) -> None:
    config = {"config": {"layers": [{"class_name": "Lambda", "module": "keras.layers"}]}}
    config["config"]["layers"].append({"class_name": "Mine", "module": "os"})
    (folder / "m.keras").write_bytes(
        samples.zipped({"config.json": json.dumps(config).encode(), "metadata.json": b"{}"})
    )
    (folder / "m.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + b'..."class_name": "Lambda"...')

    for declared in ({}, {"m.keras": frozenset[str](), "m.h5": frozenset[str]()}):
        found = refusals(folder, pickles=declared)
        assert any("m.keras: code: layer Lambda is a Python function" in line for line in found)
        assert any("m.keras: code: class Mine comes from module os" in line for line in found)
        assert any("m.h5: code: holds Lambda" in line for line in found)


@pytest.mark.parametrize(
    ("name", "content", "rule"),
    [
        ("model.so", b"x", "executable"),
        ("tool", b"\x7fELF\x02", "executable"),
        ("notes.txt", b"#!/bin/sh\nrm -rf /", "executable"),
        ("setup.exe", b"MZ", "executable"),
        ("model.py", b"import os", "code"),
        ("model.pyc", b"\xa7\r\r\n", "code"),
        ("weights.blob", bytes(100), "unknown type"),
        ("model.json", b"{", "broken"),
        ("x.json", b'{"a": 1, "a": 2}', "broken"),
        ("x.json", b"[" * 200_000, "broken"),
        ("notes.txt", b"\xff\xfe", "broken"),
        ("model.onnx", b"PK\x03\x04", "disguised"),
        ("model.safetensors", b"\x80\x04N.", "disguised"),
        (".hidden.json", b"{}", "name"),
        ("a\u202egnp.json", b"{}", "name"),
        ("caf\u0065\u0301.json", b"{}", "name"),
        ("con.json", b"{}", "name"),
        ("a .json ", b"{}", "name"),
        ("a\\b.json", b"{}", "name"),
        ("a:b.json", b"{}", "name"),
        ("release.json", b"{}", "name"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_files_that_are_no_model_are_refused(
    folder: pathlib.Path, name: str, content: bytes, rule: str
) -> None:
    (folder / name).write_bytes(content)

    assert rule in {finding.rule for finding in scanned(folder).refused}


@pytest.mark.parametrize(
    ("first", "other"),
    [("a.json", "A.json"), ("straße.json", "STRASSE.json"), ("ﬁ.json", "fi.json")],
    ids=["case", "sharp s", "ligature"],
)
def test_twins_are_refused(folder: pathlib.Path, first: str, other: str) -> None:
    for name in (first, other):
        (folder / name).write_bytes(b"{}")

    assert any("is the twin of" in line for line in refusals(folder))


def test_links_devices_and_pipes_are_refused_without_being_opened(folder: pathlib.Path) -> None:
    (folder / "link.json").symlink_to("/etc/passwd")
    (folder / "sub").symlink_to("/etc")
    os.mkfifo(folder / "pipe.json")

    found = refusals(folder)

    assert sorted(line.partition(":")[0] for line in found) == ["link.json", "pipe.json", "sub"]
    assert all(": link: " in line for line in found)


def test_a_folder_has_bounds(folder: pathlib.Path) -> None:
    for index in range(6):
        (folder / f"{index}.json").write_bytes(b"{}")
    (folder / "a" / "b" / "c").mkdir(parents=True)

    for limits in (Limits(files=5), Limits(depth=1), Limits(total=5)):
        assert "size" in {finding.rule for finding in scanned(folder, limits).refused}


def test_a_plain_file_that_may_be_executed_is_noted_only(folder: pathlib.Path) -> None:
    (folder / "a.json").write_bytes(b"{}")
    (folder / "a.json").chmod(0o755)

    found = scanned(folder)

    assert found.refused == []
    assert "may be executed" in found.notes[0].says
