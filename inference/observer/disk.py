"""Parts on a disk, where they outlive the process that wrote them.

    FOLDER/<destination>/<process>/part-<begun>-<unique>-<rows>.jsonl    sealed, to be sent
                                   open-<begun>-<unique>                 being written

Processes share a folder: each writes into one of its own, and the sealed parts of a dead one
are sent by whoever claims its folder first, under the names that they have. A part of a dead
process may have been sent already, its answer lost or its removal not reached: sent again, it
becomes the same object. The limit counts what all processes have for one destination, so it
may be passed by as much as each of them writes at once.

What is here survives the end of a process, not that of the machine: nothing waits for the
disk to have it. An emptyDir goes with its pod.
"""

import contextlib
import errno
import hashlib
import os
import pathlib
import time
import uuid
from dataclasses import dataclass
from typing import Self

from inference.observer.claim import Claim
from inference.observer.shelf import Left, Opened, Part, part_name, rows_in

_BLOCK = 4096  # what even the smallest file takes
_OPEN = "open-"


@dataclass(slots=True)
class _Open:
    """The part that is being written."""

    path: pathlib.Path
    descriptor: int
    begun_ns: int
    size: int = 0
    rows: int = 0


class Disk:
    """A shelf of files; see `Shelf`."""

    def __init__(self, root: pathlib.Path, own: Claim, limit: int) -> None:
        self._root, self._own, self._limit = root, own, limit
        self._adopted: list[Claim] = []
        self._open: _Open | None = None

    @classmethod
    def at(cls, folder: pathlib.Path, destination: str, *, limit: int) -> Self:
        """Claim a place in a folder for what goes to a destination; raises OSError."""
        root = folder / hashlib.sha256(destination.encode()).hexdigest()[:16]
        return cls(root, _claimed(root), limit)

    def append(self, data: bytes, *, rows: int) -> bool:
        if self._used() + len(data) > self._limit:
            return False
        part = self._open = self._open or self._begin()
        try:
            _write_whole(part.descriptor, data)
        except OSError:
            os.ftruncate(part.descriptor, part.size)
            os.lseek(part.descriptor, part.size, os.SEEK_SET)
            raise
        part.size += len(data)
        part.rows += rows
        return True

    def opened(self) -> Opened:
        part = self._open
        if part is None:
            return Opened()
        return Opened(part.size, part.rows, (time.time_ns() - part.begun_ns) / 1e9)

    def seal(self) -> None:
        part, self._open = self._open, None
        if part is None:
            return
        os.close(part.descriptor)
        _seal(part.path, part.rows)

    def oldest(self) -> Part | None:
        self._let_go()
        sealed = [one for claim in self._claims() for one in _sealed(claim.folder)]
        if not sealed:
            return None
        path = min(sealed, key=lambda path: path.name)
        return Part(path.name, rows_in(path.name))

    def read(self, part: Part) -> bytes:
        return self._path(part).read_bytes()

    def done(self, part: Part) -> None:
        self._path(part).unlink(missing_ok=True)

    def adopt(self) -> int:
        known = {claim.folder for claim in self._claims()}
        self._adopted += Claim.orphans(self._root, known=known)
        unsettled = [path for one in self._adopted for path in one.folder.glob(f"{_OPEN}*")]
        return sum(map(_settle, unsettled))

    def left(self) -> Left:
        rows = sum(rows_in(one.name) for claim in self._claims() for one in _sealed(claim.folder))
        return Left(kept=rows + (self._open.rows if self._open else 0))

    def release(self) -> None:
        for claim in self._claims():
            claim.release()
        with contextlib.suppress(OSError):
            self._root.rmdir()  # unless others are at work in it

    def _claims(self) -> list[Claim]:
        return [self._own, *self._adopted]

    def _let_go(self) -> None:
        """Remove adopted folders that have nothing more to send."""
        empty = [claim for claim in self._adopted if not any(claim.folder.iterdir())]
        for claim in empty:
            self._adopted.remove(claim)
            claim.release()

    def _path(self, part: Part) -> pathlib.Path:
        paths = (claim.folder / part.name for claim in self._claims())
        return next((path for path in paths if path.exists()), self._own.folder / part.name)

    def _begin(self) -> _Open:
        begun = time.time_ns()
        if not self._own.folder.is_dir():  # whoever tidies up /tmp has been here
            gone, self._own = self._own, _claimed(self._root)
            gone.release()
        path = self._own.folder / f"{_OPEN}{begun}-{uuid.uuid4().hex[:12]}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode=0o600)
        return _Open(path, descriptor, begun)

    def _used(self) -> int:
        return sum(_size(file) for process in _files(self._root) for file in _files(process))


def _claimed(root: pathlib.Path) -> Claim:
    """Make a folder of our own; the last process to leave may remove the root just before."""
    while True:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Others may write to the folder above; rows must not end up where they can be read.
        if root.is_symlink() or root.stat().st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "belongs to another user", str(root))
        with contextlib.suppress(FileNotFoundError):
            return Claim.new(root)


def _files(folder: "os.PathLike[str]") -> list[os.DirEntry[str]]:
    try:
        return list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []  # another process has let go of it, or all was swept away


def _size(file: os.DirEntry[str]) -> int:
    try:
        size = file.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        return 0  # it has been sent
    return -(-size // _BLOCK) * _BLOCK


def _sealed(folder: pathlib.Path) -> list[pathlib.Path]:
    return list(folder.glob("part-*.jsonl"))


def _seal(path: pathlib.Path, rows: int) -> None:
    """Give a part the name that it is sent by; one without rows is nothing to send."""
    if not rows:
        path.unlink()
        return
    _, begun, unique = path.name.split("-")
    path.rename(path.with_name(part_name(int(begun), unique, rows)))


def _settle(path: pathlib.Path) -> int:
    """Seal what a dead process was writing, up to its last whole line; return how many are torn."""
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        os.truncate(path, whole)
    _seal(path, data.count(b"\n"))
    return int(whole < len(data))


def _write_whole(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
