"""Which slot each version has, in memory that several processes share.

A version that a reload brings gets a free slot, or that of the version opened longest ago, in
all workers at once: a slot's new life has a new generation, and cells of an older one are
neither read nor continued. The first to open a version says which edges its scores have.
"""

import contextlib
import fcntl
import struct
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from components.foundation.errors import UserError
from inference.server.telemetry.layout import MAX_EDGES

SLOTS = 8
_NAME_BYTES = 256
_CELL = 8
_HEAD = struct.Struct("=dddd")  # generation, when opened, bytes of the name, edges
_ENTRY_BYTES = _HEAD.size + _NAME_BYTES + MAX_EDGES * _CELL
SIZE = _CELL + SLOTS * _ENTRY_BYTES  # bytes; the first cell counts what was opened


@dataclass(frozen=True, slots=True)
class Version:
    """A version and its slot; `generation` is 0 for a slot that nothing has."""

    slot: int
    generation: float
    opened: float
    name: str
    edges: tuple[float, ...]


class Versions:
    """Slots by version; every use holds a lock that also dies with its process."""

    def __init__(self, file: int, memory: memoryview) -> None:
        self._file, self._memory = file, memory
        self._threads = threading.Lock()  # the file's lock is one a process

    def open(self, name: str, *, edges: Sequence[float] = ()) -> Version:
        """Return the slot of a version, the one it has or a new one.

        Raises:
            UserError: a name, or a number of edges, that no slot can hold.
        """
        _check(name, edges)
        with self._locked():
            known, now = self._read_all(), self._next()
            for version in known:
                if version.generation and version.name == name:
                    struct.pack_into("=d", self._memory, _place(version.slot) + _CELL, now)
                    return version
            oldest = min(known, key=lambda v: v.opened)
            version = Version(oldest.slot, now, now, name, tuple(edges))
            self._write(version)
            return version

    def all(self) -> list[Version]:
        """Return the versions that have a slot, the first opened first."""
        with self._locked():
            known = self._read_all()
        return sorted((v for v in known if v.generation), key=lambda v: v.generation)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with self._threads:
            fcntl.lockf(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN)

    def _next(self) -> float:
        (given,) = struct.unpack_from("=d", self._memory)
        struct.pack_into("=d", self._memory, 0, given + 1)
        return float(given + 1)

    def _read_all(self) -> list[Version]:
        return [self._read(slot) for slot in range(SLOTS)]

    def _read(self, slot: int) -> Version:
        at = _place(slot)
        generation, opened, length, edges = _HEAD.unpack_from(self._memory, at)
        at += _HEAD.size
        name = bytes(self._memory[at : at + int(length)]).decode()
        found = struct.unpack_from(f"={int(edges)}d", self._memory, at + _NAME_BYTES)
        return Version(slot, generation, opened, name, found)

    def _write(self, version: Version) -> None:
        """Write an entry; it has no generation until it is whole, for who dies half-way."""
        at = _place(version.slot)
        name, edges = version.name.encode(), version.edges
        _HEAD.pack_into(self._memory, at, 0, 0, 0, 0)
        start = at + _HEAD.size
        self._memory[start : start + len(name)] = name
        struct.pack_into(f"={len(edges)}d", self._memory, start + _NAME_BYTES, *edges)
        head = (version.generation, version.opened, len(name), len(edges))
        _HEAD.pack_into(self._memory, at, *head)


def _place(slot: int) -> int:
    return _CELL + slot * _ENTRY_BYTES


def _check(name: str, edges: Sequence[float]) -> None:
    if len(name.encode()) > _NAME_BYTES:
        raise UserError(
            f"version {name[:40]!r}...: has {len(name.encode())} bytes; expected at most "
            f"{_NAME_BYTES}; name the release shorter",
            code="version-too-long",
        )
    if len(edges) > MAX_EDGES:
        raise UserError(
            f"profile: the score has {len(edges)} edges; expected at most {MAX_EDGES}; make it "
            "again with components.preparation.profile",
            code="profile-malformed",
        )
