"""What is signed: an in-toto Statement over everything a release is made of."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from components.foundation import digests
from components.foundation.digests import BLAKE3, SHA256, Digest
from components.foundation.errors import FalajError, Refused, UserError
from components.foundation.sealing.keys import derive
from components.foundation.sealing.paths import check_paths
from components.foundation.sealing.stream import MAX_SIZE, Header

KIND = "application/vnd.in-toto+json"
_TYPE = "https://in-toto.io/Statement/v1"
_PREDICATE = "https://falaj.example/sealed-release/v2"
FORMAT = 2
_ALGORITHMS = {
    "cipher": "AES-256-GCM-STREAM-1MiB",
    "derivation": "HKDF-SHA256",
    "plain": "SHA-256",
    "sealed": "BLAKE3",
}
_COMMITMENT = b"falaj key commitment 2"


@dataclass(frozen=True, slots=True)
class SealedFile:
    """A file of a release; digests of its plaintext and of its sealed bytes."""

    path: str
    size: int
    plain: Digest
    sealed: Digest

    @property
    def header(self) -> Header:
        return Header(self.size, bytes.fromhex(self.plain.hex))

    @classmethod
    def parse(cls, path: str, value: Mapping[str, Any]) -> Self:
        """Read a file's entry; raises ValueError or UserError for what is none."""
        size = value["size"]
        if type(size) is not int or not 0 <= size <= MAX_SIZE:
            raise ValueError(f"{path}: size {size!r} is none of a file")
        return cls(path, size, _digest(value["plain"], SHA256), _digest(value["sealed"], BLAKE3))

    def to_dict(self) -> dict[str, Any]:
        return {"size": self.size, "plain": str(self.plain), "sealed": str(self.sealed)}


@dataclass(frozen=True, slots=True)
class Statement:
    """`Statement.decode(s.encode()) == s`.

    Attributes:
        content: digest of name, files and facts; the version is its beginning.
        key: commitment to the release key, see `commitment`.
        signature: digest of `model.sig`, the signature in the OpenSSF's format.
    """

    model: str
    version: str
    content: Digest
    key: str
    signature: Digest
    files: tuple[SealedFile, ...]
    facts: Mapping[str, Any]

    def encode(self) -> bytes:
        subject = [{"name": f.path, "digest": {SHA256: f.plain.hex}} for f in self.files]
        predicate = {
            "format": FORMAT,
            "algorithms": _ALGORITHMS,
            "model": self.model,
            "version": self.version,
            "content": str(self.content),
            "key": self.key,
            "signature": str(self.signature),
            "files": {file.path: file.to_dict() for file in self.files},
            "facts": dict(self.facts),
        }
        return digests.canonical_json(
            {
                "_type": _TYPE,
                "subject": subject,
                "predicateType": _PREDICATE,
                "predicate": predicate,
            }
        )

    def agrees(self) -> bool:
        """Say whether version and content are those of the files and facts."""
        plain = {file.path: file.plain for file in self.files}
        own = content(self.model, plain, self.facts)
        return (own, own.short) == (self.content, self.version)

    def check_key(self, key: bytes, *, where: str) -> None:
        """Refuse a key other than the one that this release was sealed with."""
        if commitment(key) != self.key:
            raise Refused(
                f"{where}: holds another key than the one that the statement commits to; restore "
                "the object from the bucket's versions",
                code="release-key-altered",
            )

    @classmethod
    def decode(cls, payload: bytes, *, where: str) -> Self:
        """Read a statement whose signature holds.

        Raises:
            Refused: it is of another format, names unknown algorithms, or contradicts itself.
        """
        predicate = _predicate(payload, where)
        try:
            statement = cls._parse(predicate)
            check_paths([file.path for file in statement.files])
            whole = statement.encode() == payload and statement.agrees()
        except (ValueError, KeyError, TypeError, AttributeError, FalajError) as error:
            raise _malformed(where, f"no statement of format {FORMAT}: {error}") from error
        if not whole:
            raise _malformed(where, "its parts contradict each other")
        return statement

    @classmethod
    def _parse(cls, value: Mapping[str, Any]) -> Self:
        """Read a predicate; what it has beyond these names shows as a contradiction."""
        files = (SealedFile.parse(path, file) for path, file in sorted(value["files"].items()))
        return cls(
            model=_text(value["model"]),
            version=_text(value["version"]),
            content=_digest(value["content"], SHA256),
            key=_digest(f"{SHA256}:{value['key']}", SHA256).hex,
            signature=_digest(value["signature"], SHA256),
            files=tuple(files),
            facts=value["facts"],
        )


def commitment(key: bytes) -> str:
    """Commit to a release key: AES-GCM alone would open under more than one."""
    return derive(key, info=_COMMITMENT, length=32).hex()


def content(model: str, plain: Mapping[str, Digest], facts: Mapping[str, Any]) -> Digest:
    """Digest everything that makes a release this one: name, files and facts.

    Raises:
        UserError: a fact is not plain JSON.
    """
    files = {path: str(digest) for path, digest in plain.items()}
    try:
        return digests.of_json({"model": model, "files": files, "facts": dict(facts)})
    except (TypeError, ValueError) as error:
        raise UserError(
            f"facts of {model}: {error}; expected plain JSON values", code="facts-malformed"
        ) from error


def _predicate(payload: bytes, where: str) -> Mapping[str, Any]:
    """Return the predicate once its format and its algorithms are the ones we know."""
    try:
        predicate: Mapping[str, Any] = json.loads(payload)["predicate"]
        got, algorithms = predicate["format"], predicate.get("algorithms")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _malformed(where, f"no statement of format {FORMAT}: {error}") from error
    if got != FORMAT:
        raise Refused(
            f"{where}: is of format {got!r}, this version opens format {FORMAT}; seal the model "
            "again, or open it with the version that sealed it",
            code="statement-format",
        )
    if algorithms != _ALGORITHMS:
        raise Refused(
            f"{where}: names the algorithms {algorithms!r}, expected {_ALGORITHMS}; seal the model "
            "again",
            code="statement-format",
        )
    return predicate


def _malformed(where: str, problem: str) -> Refused:
    return Refused(f"{where}: is signed, but {problem}; seal it again", code="statement-malformed")


def _digest(text: Any, algorithm: str) -> Digest:
    digest = Digest.parse(_text(text))
    if digest.algorithm != algorithm:
        raise ValueError(f"digest {digest}: expected {algorithm}")
    return digest


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{str(value)[:40]!r} where text is expected")
    return value
