"""Files that hold other files or pickles: archives are opened to any depth that is let through."""

import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from components.foundation.formats.wire import Malformed
from components.release.scan_model import (
    archives,
    keras_files,
    kinds,
    numpy_array,
    pickles,
    torch_files,
)
from components.release.scan_model.archives import Member
from components.release.scan_model.finding import Rule, shown
from components.release.scan_model.kinds import Kind
from components.release.scan_model.limits import Limits

_ADVICE: Final = "export it to ONNX, or save the weights as safetensors"
_DEEPEST: Final = 4


class Findings(Protocol):
    """Where a judge leaves what it found."""

    counts: Counter[str]
    pickled: list[str]

    def find(self, file: str, rule: Rule, says: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges one file of the folder, and all that lies in it.

    Attributes:
        found: takes the findings.
        file: the file of the folder.
        allowed: globals that the card declares for it; None where the file is not declared.
        limits: how much is unpacked.
    """

    found: Findings
    file: str
    allowed: frozenset[str] | None
    limits: Limits

    def whole(self, name: str, data: memoryview, kind: Kind, depth: int = 0) -> None:
        """Judge a file, or a member of one; raises Malformed where it is not what it seems."""
        if depth > _DEEPEST:
            raise Malformed(f"{shown(name)}: archives in archives, deeper than {_DEEPEST}")
        match kind:
            case Kind.TORCH_PROGRAM:
                self._program(name, data)
            case Kind.ZIP:
                self._zip(name, archives.of_zip(_Stream(data), self.limits), depth)
            case Kind.TAR:
                self._undeclared(name, "is a tar archive, as old checkpoints are")
                self._members(name, archives.of_tar(_Stream(data), self.limits), depth)
            case Kind.COMPRESSED:
                self._compressed(name, data, depth)
            case Kind.PICKLE:
                self._pickle(name, data)
            case Kind.NUMPY:
                if start := numpy_array.objects(data):
                    self._pickle(name, data[start:])
            case Kind.HDF5:
                self._hdf5(name, data)

    def embedded(self, name: str, data: memoryview) -> None:
        """Look for pickles anywhere in bytes of no known kind."""
        for says in pickles.embedded(data):
            self.found.find(name, Rule.PICKLE, says)

    def _program(self, name: str, data: memoryview) -> None:
        members = archives.of_zip(_Stream(data), self.limits)
        if says := torch_files.check_program(members, self.limits):
            self.found.find(name, Rule.OPERATOR, says)
        self.found.counts["programs"] += 1

    def _zip(self, name: str, members: Sequence[Member], depth: int) -> None:
        names = {member.name for member in members}
        if torch_files.is_script(members):
            self.found.find(name, Rule.CODE, f"is TorchScript, a program in Python; {_ADVICE}")
        elif torch_files.is_checkpoint(members):
            self._undeclared(name, "is a checkpoint of PyTorch, which is a pickle")
        elif keras_files.CONFIG in names:
            self._undeclared(name, "is a model of Keras, which is built by Python")
            self._keras(name, members)
        elif not (names and all(name.endswith(".npy") for name in names)):
            says = "is an archive of no kind that is served; leave it out, or lay its files out"
            self.found.find(name, Rule.UNKNOWN, says)
        self._members(name, members, depth)

    def _members(self, name: str, members: Sequence[Member], depth: int) -> None:
        for member in members:
            inner = f"{name}!{shown(member.name)}"
            kind = kinds.of(member.name, member.read(kinds.HEAD))
            match kind:
                case Kind.EXECUTABLE | Kind.SOURCE:
                    self.found.find(inner, Rule.EXECUTABLE, "is a program in an archive")
                case _ if kind in _OPENED:
                    self._open(inner, member, kind, depth)

    def _open(self, inner: str, member: Member, kind: Kind, depth: int) -> None:
        if member.size > self.limits.pickle:
            says = f"{member.size} bytes, too many to be unpacked: at most {self.limits.pickle}"
            self.found.find(inner, Rule.SIZE, says)
            return
        whole = memoryview(member.read(member.size))
        if kind is Kind.PICKLE and not _is_pickle_by_name(member.name):
            self.embedded(inner, whole[: 1 << 20])  # weights begin with any bytes
        else:
            self.whole(inner, whole, kind, depth + 1)

    def _keras(self, name: str, members: Sequence[Member]) -> None:
        for member in members:
            if member.name == keras_files.CONFIG:
                if member.size > self.limits.text:
                    raise Malformed(f"{keras_files.CONFIG}: {member.size} bytes")
                for says in keras_files.in_config(member.read(member.size)):
                    self.found.find(name, Rule.CODE, f"{says}; build the model without it")

    def _compressed(self, name: str, data: memoryview, depth: int) -> None:
        if len(data) > self.limits.pickle:
            raise Malformed(f"{len(data)} bytes, at most {self.limits.pickle} are unpacked")
        self._undeclared(name, "is a compressed file of no kind that is served")
        inner = archives.decompressed(bytes(data), self.limits)
        kind = kinds.of(name.rpartition(".")[0] or name, inner[: kinds.HEAD])
        if kind is Kind.UNKNOWN:
            kind = Kind.PICKLE
        self.whole(f"{name}!", memoryview(inner), kind, depth + 1)

    def _pickle(self, name: str, data: memoryview) -> None:
        self.found.counts["pickles"] += 1
        if self.file not in self.found.pickled:
            self.found.pickled.append(self.file)
        self._undeclared(name, "is a pickle, which can run code when it is read")
        if len(data) > self.limits.pickle:
            raise Malformed(f"{len(data)} bytes, at most {self.limits.pickle} of a pickle are read")
        walk = pickles.walk(_Stream(data))
        self.found.counts["opcodes"] += walk.opcodes
        for says in walk.complaints(self.allowed or frozenset()):
            self.found.find(name, Rule.PICKLE, f"{says}; {_ADVICE}")

    def _hdf5(self, name: str, data: memoryview) -> None:
        self._undeclared(name, "is HDF5, from which Keras builds Python")
        for says in keras_files.in_hdf5(data):
            self.found.find(name, Rule.CODE, f"{says}; build the model without it")
        self.embedded(name, data)

    def _undeclared(self, name: str, says: str) -> None:
        """Refuse what is not served unless the card declares the file it lies in."""
        if self.allowed is None:
            says = f"{says}; {_ADVICE}, or declare {shown(self.file)} under pickles in model.json"
            self.found.find(name, Rule.PICKLE, says)
        else:
            self.found.find(name, Rule.NOTE, f"{says}; declared in model.json")


_OPENED: Final = {
    *(Kind.ZIP, Kind.TORCH_PROGRAM, Kind.TAR, Kind.COMPRESSED),
    *(Kind.PICKLE, Kind.NUMPY, Kind.HDF5),
}


def _is_pickle_by_name(name: str) -> bool:
    return kinds.named(name) is Kind.PICKLE or name.rpartition("/")[2] in _OLD_TORCH


_OLD_TORCH: Final = {"pickle", "sys_info", "tensors", "storages"}


class _Lent(io.RawIOBase):
    """A file over bytes that lie elsewhere; nothing is copied but what is read."""

    def __init__(self, data: memoryview) -> None:
        self._data, self._at = data, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._data)}[whence]
        if base + offset < 0:
            raise ValueError("before the beginning")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        found = self._data[self._at : self._at + len(buffer)]
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)


class _Stream(io.BufferedReader):
    """One that makes room for what is there, not for what a file says of its own length."""

    def __init__(self, data: memoryview) -> None:
        super().__init__(_Lent(data))
        self._length = len(data)

    def read(self, size: int | None = -1, /) -> bytes:
        left = max(0, self._length - self.tell())
        return super().read(left if size is None or size < 0 else min(size, left))
