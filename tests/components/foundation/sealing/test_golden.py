"""What this version writes, later versions read; and so does a stranger with the document."""

import ast
import json
import pathlib
import shutil
import sys
from typing import Any

import pytest

from components.foundation.sealing import release
from components.foundation.sealing.keys import KeyRing
from components.foundation.sealing.statement import commitment
from components.foundation.sealing.uri import ReleaseUri
from tests.components.foundation.sealing import stranger
from tests.components.foundation.sealing.memory import Memory
from tests.components.foundation.sealing.vectors import make

VECTORS = pathlib.Path(__file__).parent / "vectors"
GOLDEN = json.loads((VECTORS / "format2.json").read_text())
RELEASE = VECTORS / "release2/golden/cd178d31c583"
URI = "sealed+s3://falaj-models/golden/cd178d31c583"


@pytest.fixture
def ring(tmp_path: pathlib.Path) -> KeyRing:
    """The ring that the kept release was sealed with, without its signing key."""
    folder = pathlib.Path(shutil.copytree(VECTORS / "keys", tmp_path / "keys"))
    for file in folder.iterdir():
        file.chmod(0o600)
    return KeyRing.load(folder)


def plain() -> dict[str, bytes]:
    folder = VECTORS / "plain"
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize("expected", GOLDEN["files"], ids=lambda v: f"{v['path']}-{v['size']}")
def test_the_same_file_is_sealed_to_the_same_bytes(expected: dict[str, Any]) -> None:
    assert make.vector(expected["size"], expected["path"]) == expected


def test_the_same_key_is_committed_to_by_the_same_words() -> None:
    assert commitment(bytes.fromhex(GOLDEN["release_key"])) == GOLDEN["commitment"]


def test_a_release_of_this_format_opens(ring: KeyRing, tmp_path: pathlib.Path) -> None:
    store = Memory.of_folder(VECTORS / "release2", "falaj-models")

    release.unseal(URI, tmp_path / "out", store=store, keys=ring)

    for path, data in plain().items():
        assert (tmp_path / "out" / path).read_bytes() == data
    opened = release.read(ReleaseUri.parse(URI), store=store, keys=ring)
    assert opened.statement.facts == make.FACTS
    release.verify(URI, store=store, keys=ring)


def test_a_stranger_reads_it() -> None:
    public = (VECTORS / "keys/verify.pem").read_bytes()
    secret = bytes.fromhex((VECTORS / "keys/wrapping.key").read_text())

    files = stranger.read(RELEASE, public, secret)

    assert files == plain()


@pytest.mark.parametrize("size", make.SIZES)
def test_a_stranger_reads_a_file_of_any_size(size: int) -> None:
    header, sealed = make.sealed_file(size, "a/b")

    assert stranger.opened(sealed, make.KEY, "a/b", size, header.digest) == make.plaintext(size)


def test_the_stranger_has_none_of_our_code() -> None:
    tree = ast.parse(pathlib.Path(stranger.__file__).read_text())
    roots = {
        (node.module or "").split(".")[0] if isinstance(node, ast.ImportFrom) else name.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
    }

    assert roots - set(sys.stdlib_module_names) == {"blake3", "cryptography"}
