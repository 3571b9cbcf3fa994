"""An object store in memory, which can fail or be killed at its Nth operation."""

import contextlib
import pathlib
from collections.abc import Iterator
from typing import Self

from components.foundation import digests
from components.foundation.errors import Refused
from components.foundation.pieces import Pieces, Reader
from components.foundation.sealing import release
from components.foundation.sealing.keys import KeyRing
from components.foundation.storage import (
    Address,
    Conflict,
    NotFound,
    ObjectInfo,
    ObjectStore,
    Settings,
)


class Killed(BaseException):
    """What ends the program at a point: nothing of ours catches it, as nothing catches SIGKILL."""


class Memory(ObjectStore):
    """Objects by address; `dies_at` counts operations, and the one of that number is the last."""

    def __init__(self, objects: dict[Address, bytes] | None = None) -> None:
        super().__init__(Settings("http://memory", "", ""))
        self.objects = dict(objects or {})
        self.operations, self.dies_at = 0, 0

    def __setattr__(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    @classmethod
    def of_folder(cls, folder: pathlib.Path, bucket: str) -> Self:
        """Hold every file of a folder as an object."""
        files = (path for path in folder.rglob("*") if path.is_file())
        return cls(
            {Address(bucket, f.relative_to(folder).as_posix()): f.read_bytes() for f in files}
        )

    def get_with_etag(self, address: Address) -> tuple[bytes, str]:
        self._operate()
        if address not in self.objects:
            raise NotFound(f"{address}: no such object", code="object-missing")
        return self.objects[address], _etag(self.objects[address])

    @contextlib.contextmanager
    def reading(self, address: Address) -> Iterator[Pieces]:
        yield Pieces(iter([self.get(address)]))

    def get_range(self, address: Address, start: int, size: int) -> bytes:
        return self.get(address)[start : start + size]

    def put(self, address: Address, data: bytes) -> None:
        self._operate()
        self.objects[address] = data

    def put_stream(self, address: Address, source: Reader, *, size: int) -> None:
        data = b""
        while piece := source.read(1 << 20):
            data += piece
            self._operate()
        assert len(data) == size
        self.put(address, data)

    def exists(self, address: Address) -> bool:
        self._operate()
        return address in self.objects

    def list(self, prefix: Address) -> Iterator[ObjectInfo]:
        self._operate()
        for address, data in sorted(self.objects.items(), key=lambda item: item[0].key):
            if address.bucket == prefix.bucket and address.key.startswith(prefix.key):
                yield ObjectInfo(address, len(data), _etag(data), 0)

    def delete(self, address: Address) -> None:
        self._operate()
        self.objects.pop(address, None)

    def create(self, address: Address, data: bytes) -> str:
        self._operate()
        if address in self.objects:
            raise Conflict(f"{address}: somebody else wrote it first", code="object-raced")
        self.objects[address] = data
        return _etag(data)

    def swap(self, address: Address, data: bytes, *, etag: str) -> str:
        self._operate()
        if _etag(self.objects[address]) != etag:
            raise Conflict(f"{address}: somebody else wrote it first", code="object-raced")
        self.objects[address] = data
        return _etag(data)

    def opens(self, uri: str, keys: KeyRing, out: pathlib.Path, *, unless: str) -> bool:
        """Say whether a release opens; it may be refused for the reason of that code alone."""
        try:
            release.unseal(uri, out, store=self, keys=keys)
        except Refused as refused:
            if refused.code != unless:
                raise
            return False
        return True

    def _operate(self) -> None:
        self.operations += 1
        if self.dies_at and self.operations >= self.dies_at:
            raise Killed


def _etag(data: bytes) -> str:
    return str(digests.of_bytes(data))
