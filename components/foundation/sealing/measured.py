"""A file's size and digest, and whether it still is the file that was measured."""

import hashlib
import itertools
import os
import pathlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from components.foundation.digests import Digest
from components.foundation.errors import UserError
from components.foundation.pieces import PIECE, Filler
from components.foundation.sealing.parallel import ahead
from components.foundation.sealing.stream import Header


@dataclass(frozen=True, slots=True)
class Measured:
    """A file of a folder as it was when it was digested."""

    file: pathlib.Path
    path: str
    header: Header
    stamp: tuple[int, ...]

    @classmethod
    def of(cls, folder: pathlib.Path, path: str) -> Self:
        """Read a file; raises UserError when somebody writes to it meanwhile."""
        file = folder / path
        stamp = _stamp(file)
        measured = cls(file, path, Header(file.stat().st_size, _sha256(file)), stamp)
        measured.check()
        return measured

    @property
    def plain(self) -> Digest:
        return Digest(self.header.digest.hex())

    def check(self) -> None:
        """Raise UserError if the file was written to since it was measured."""
        if _stamp(self.file) != self.stamp:
            raise UserError(
                f"{self.file}: changed while it was sealed; seal it again", code="file-changed"
            )


def _sha256(file: pathlib.Path) -> bytes:
    """Digest a file: half the time of sealing, so reading it does not come on top."""
    found = hashlib.sha256()
    with file.open("rb", buffering=0) as source:
        for piece in ahead(_pieces(source), count=file.stat().st_size // PIECE):
            found.update(piece)
    return found.digest()


def _pieces(source: Filler) -> Iterator[memoryview]:
    """Yield what a file holds; each piece is valid until the next but one is asked for."""
    for buffer in itertools.cycle([memoryview(bytearray(PIECE)) for _ in range(2)]):
        if not (size := source.readinto(buffer)):
            return
        yield buffer[:size]


def _stamp(file: pathlib.Path) -> tuple[int, ...]:
    seen = os.stat(file, follow_symlinks=False)
    return seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns
