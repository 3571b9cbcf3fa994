"""A file's size and digest, and whether it still is the file that was measured."""

import os
import pathlib
from dataclasses import dataclass
from typing import Self

from components.foundation import digests
from components.foundation.digests import Digest
from components.foundation.errors import UserError
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
        digest = digests.of_file(file)
        measured = cls(file, path, Header(file.stat().st_size, bytes.fromhex(digest.hex)), stamp)
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


def _stamp(file: pathlib.Path) -> tuple[int, ...]:
    seen = os.stat(file, follow_symlinks=False)
    return seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns
