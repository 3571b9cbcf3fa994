"""Content digests: what a thing is, not where it lies."""

import hashlib
import json
import pathlib
from dataclasses import dataclass
from typing import Any, Protocol, Self

from components.foundation.errors import UserError

SHA256, BLAKE3 = "sha256", "blake3"


@dataclass(frozen=True, slots=True)
class Digest:
    """A digest of 256 bits; `Digest.parse(str(d)) == d`."""

    hex: str
    algorithm: str = SHA256

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"

    @classmethod
    def parse(cls, text: str) -> Self:
        algorithm, _, value = text.partition(":")
        known = algorithm in (SHA256, BLAKE3)
        if not known or len(value) != 64 or set(value) - set("0123456789abcdef"):
            raise UserError(
                f"digest {text!r}: expected sha256: or blake3: and 64 hex digits",
                code="digest-malformed",
            )
        return cls(value, algorithm)

    @property
    def short(self) -> str:
        return self.hex[:12]


class Hash(Protocol):
    """What makes a digest of bytes that come piece by piece."""

    def update(self, data: bytes, /) -> object: ...

    def hexdigest(self) -> str: ...


def hash_of(algorithm: str) -> Hash:
    """Begin a digest by one of our algorithms."""
    if algorithm == SHA256:
        return hashlib.sha256()
    from blake3 import blake3

    return blake3()


def of_bytes(data: bytes | memoryview) -> Digest:
    return Digest(hashlib.sha256(data).hexdigest())


def of_file(path: pathlib.Path) -> Digest:
    with path.open("rb") as file:
        return Digest(hashlib.file_digest(file, "sha256").hexdigest())


def of_folder(path: pathlib.Path) -> Digest:
    """Digest the files below a folder, by relative path and content."""
    files = sorted(p for p in path.rglob("*") if p.is_file())
    return of_json({p.relative_to(path).as_posix(): str(of_file(p)) for p in files})


def of_path(path: pathlib.Path) -> Digest:
    return of_folder(path) if path.is_dir() else of_file(path)


def canonical_json(value: Any) -> bytes:
    """Encode deterministically: sorted keys, no spaces, UTF-8, no NaN, 2.0 as 2 (RFC 8785).

    KFP hands whole numbers on as floats; what they are of stays the same.
    """
    return json.dumps(
        whole(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def whole(value: Any) -> Any:
    """Write whole numbers as such, at any depth: KFP knows 2 only as 2.0."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case dict():
            return {key: whole(item) for key, item in value.items()}
        case list() | tuple():
            return [whole(item) for item in value]
        case _:
            return value


def of_json(value: Any) -> Digest:
    return of_bytes(canonical_json(value))
