"""What a release is opened from: an object store, or the files of a folder."""

import contextlib
import io
import os
import pathlib
import stat
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from components.foundation.errors import Refused, UserError
from components.foundation.pieces import Filler
from components.foundation.storage import Address, NotFound, ObjectInfo, bounded

CLAIMS = pathlib.Path("/mnt/pvc")  # a claim is mounted at its name below


class Source(Protocol):
    """What opening needs of an object store."""

    def get_bounded(self, address: Address, *, limit: int) -> bytes: ...
    def reading(self, address: Address) -> AbstractContextManager[Filler]: ...
    def get_range(self, address: Address, start: int, size: int) -> bytes: ...
    def list(self, prefix: Address) -> Iterator[ObjectInfo]: ...


@dataclass(frozen=True, slots=True)
class Files:
    """A folder whose files are read as if they were objects; links are not followed.

    Attributes:
        roots: the folder of each scheme and bucket; `sealed+file:///a/b` is below `roots["file"]`.
    """

    roots: Mapping[str, pathlib.Path]

    @classmethod
    def mounted(cls, claims: pathlib.Path = CLAIMS) -> "Files":
        """Read `file` from the root of this machine, and each claim from where it is mounted."""
        return cls({"file": pathlib.Path("/"), "pvc": claims})

    def get_bounded(self, address: Address, *, limit: int) -> bytes:
        with self._open(address) as file:
            return bounded(file, limit=limit, where=address)

    def reading(self, address: Address) -> AbstractContextManager[Filler]:
        return self._open(address)

    def get_range(self, address: Address, start: int, size: int) -> bytes:
        with self._open(address) as file:
            file.seek(start)
            return file.read(size)

    def list(self, prefix: Address) -> Iterator[ObjectInfo]:
        """Yield every file below a folder; raises Refused for what is neither file nor folder."""
        root = self._path(prefix)
        for folder, folders, files in os.walk(root, onerror=_raise):
            for name in sorted((*files, *folders)):
                path = pathlib.Path(folder, name)
                said = path.lstat()
                if stat.S_ISREG(said.st_mode):
                    key = prefix.key.rstrip("/") + "/" + path.relative_to(root).as_posix()
                    at = Address(prefix.bucket, key, prefix.scheme)
                    yield ObjectInfo(at, said.st_size, "", said.st_mtime_ns // 1000)
                elif not stat.S_ISDIR(said.st_mode):
                    raise _no_plain_file(path)

    def _path(self, address: Address) -> pathlib.Path:
        """Return where something lies.

        Raises:
            UserError: its claim is not mounted.
            Refused: a link leads somewhere else.
        """
        root = self.roots[address.scheme].resolve()
        path = root / address.bucket / address.key
        if not (root / address.bucket).is_dir():
            raise UserError(
                f"{address}: no {root / address.bucket}; mount the claim there in the opener's "
                "container, as docs/sealing.md shows",
                code="claim-unmounted",
            )
        if path.resolve() != path:
            raise _no_plain_file(path)
        return path

    def _open(self, address: Address) -> io.FileIO:
        path = self._path(address)
        try:
            number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotFound(
                f"{address}: no such file below {self.roots[address.scheme]}",
                code="object-missing",
            ) from error
        except OSError as error:
            raise UserError(
                f"{address}: {error.strerror}; let the container's user read it",
                code="release-file-unreadable",
            ) from error
        with contextlib.ExitStack() as undo:
            undo.callback(os.close, number)
            if not stat.S_ISREG(os.fstat(number).st_mode):
                raise _no_plain_file(path)
            undo.pop_all()
        return io.FileIO(number)


def _raise(error: OSError) -> None:
    raise UserError(
        f"{error.filename}: {error.strerror}; let the container's user read the whole release",
        code="release-file-unreadable",
    ) from error


def _no_plain_file(path: pathlib.Path) -> Refused:
    return Refused(
        f"{path}: is a link, lies behind one, or is no plain file; a release holds plain files "
        "only: name the folder where they lie, or seal it again",
        code="release-altered",
    )
