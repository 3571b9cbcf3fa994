"""Thousands of mutated files: no scan crashes, hangs, or takes more memory than a bound."""

import io
import json
import pathlib
import pickle
import random
import time
import tracemalloc

import numpy as np
import pytest

from tests.components.release import scan_samples as samples
from tests.components.release.scan_samples import scanned
from tests.inference.models import write_model

MUTANTS = 1500  # of each format
SECONDS = 5.0  # for one file of a few kB; a hang would take for ever
MEMORY = 64 << 20


def _npz() -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, a=np.arange(30), b=np.array([{}], object))
    return file.getvalue()


def _onnx(tmp_path: pathlib.Path) -> bytes:
    return (write_model(tmp_path / "onnx") / "model.onnx").read_bytes()


def _safetensors() -> bytes:
    tensor = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}
    return samples.safetensors(json.dumps({"a": tensor}).encode(), bytes(16))


def _seeds(name: str, tmp_path: pathlib.Path) -> list[bytes]:
    match name:
        case "x.onnx":
            return [_onnx(tmp_path)]
        case "x.safetensors":
            return [_safetensors()]
        case "x.npz":
            return [_npz()]
        case "x.npy":
            return [samples.npy(pickle.dumps([1]))]
        case "x.pt":
            pickled = pickle.dumps({"a": np.ones(3)}, protocol=2)
            inner = {"m/data.pkl": pickled, "m/data/0": bytes(16), "m/version": b"3"}
            return [samples.zipped(inner), samples.tarred({"pickle": pickled})]
        case "saved_model.pb":
            return [_onnx(tmp_path), b"\x08\x01\x12\x06\x12\x02\x0a\x00\x3a\x00"]
    hostile = samples.pickles(tmp_path / "canary").values()
    return [*hostile, *(pickle.dumps({"a": [1.5, "x", b"y"] * 3}, p) for p in range(6))]


def _mutated(seed: bytes, chance: random.Random) -> bytes:
    data = bytearray(seed)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(5):
            case 0:
                data[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                del data[at : at + chance.randint(1, 40)]
            case 2:
                data[at:at] = data[at : at + chance.randint(1, 40)] * chance.randint(1, 4)
            case 3:
                data[at : at + 8] = chance.choice([b"\xff" * 8, b"\x7f" + bytes(7), b"\x80" * 8])
            case _:
                data[at:at] = chance.randbytes(chance.randint(1, 16))
    return bytes(data)


@pytest.mark.parametrize(
    "name",
    ["x.pkl", "x.onnx", "x.safetensors", "x.npz", "x.npy", "x.pt", "saved_model.pb"],
)
def test_mutated_files_never_crash_hang_or_take_much_memory(
    name: str, tmp_path: pathlib.Path
) -> None:
    chance, seeds = random.Random(6), _seeds(name, tmp_path)  # noqa: S311 - not for secrets
    folder = tmp_path / "model"
    folder.mkdir()
    slowest = 0.0
    scanned(folder)  # what is read once, such as lists of names, is not the files'
    tracemalloc.start()
    try:
        for _ in range(MUTANTS):
            (folder / name).write_bytes(_mutated(chance.choice(seeds), chance))
            started = time.monotonic()
            found = scanned(folder)
            slowest = max(slowest, time.monotonic() - started)
            assert name in found.files
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert slowest < SECONDS
    assert peak < MEMORY
    assert not (tmp_path / "canary").exists()
