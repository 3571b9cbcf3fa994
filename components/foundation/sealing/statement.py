"""What is signed: an in-toto Statement over everything a release is made of."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from components.foundation import digests
from components.foundation.digests import Digest
from components.foundation.errors import FalajError, Refused, UserError
from components.foundation.sealing.stream import Header

KIND = "application/vnd.in-toto+json"
OPENED = "release.json"  # written by the opener, so no file of a release may have this name
_TYPE = "https://in-toto.io/Statement/v1"
_PREDICATE = "https://falaj.example/sealed-release/v1"
_FORMAT = 1
_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(?:/[A-Za-z0-9_][A-Za-z0-9._-]*)*")


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


@dataclass(frozen=True, slots=True)
class Statement:
    """`Statement.decode(s.encode()) == s`."""

    model: str
    version: str
    content: Digest
    files: tuple[SealedFile, ...]
    facts: Mapping[str, Any]

    def encode(self) -> bytes:
        files = {
            file.path: {"size": file.size, "plain": str(file.plain), "sealed": str(file.sealed)}
            for file in self.files
        }
        return digests.canonical_json(
            {
                "_type": _TYPE,
                "subject": [
                    {"name": f.path, "digest": {"sha256": f.plain.hex}} for f in self.files
                ],
                "predicateType": _PREDICATE,
                "predicate": {
                    "format": _FORMAT,
                    "model": self.model,
                    "version": self.version,
                    "content": str(self.content),
                    "files": files,
                    "facts": dict(self.facts),
                },
            }
        )

    def agrees(self) -> bool:
        """Say whether version and content are those of the files and facts."""
        plain = {file.path: file.plain for file in self.files}
        own = content(self.model, plain, self.facts)
        return (own, own.short) == (self.content, self.version)

    @classmethod
    def decode(cls, payload: bytes, *, where: str) -> Self:
        """Read a statement whose signature holds.

        Raises:
            Refused: it is of another type or format, or contradicts itself.
        """
        try:
            statement = cls._from_predicate(json.loads(payload))
            check_paths([file.path for file in statement.files])
        except (ValueError, KeyError, TypeError, AttributeError, FalajError) as error:
            raise Refused(
                f"{where}: is signed, but no statement of format {_FORMAT}: {error}; was it sealed "
                "by a newer version?",
                code="statement-malformed",
            ) from error
        if statement.encode() != payload or not statement.agrees():
            raise Refused(
                f"{where}: is signed, but its parts contradict each other; seal it again",
                code="statement-malformed",
            )
        return statement

    @classmethod
    def _from_predicate(cls, value: Mapping[str, Any]) -> Self:
        predicate = value["predicate"]
        files = (
            SealedFile(path, f["size"], Digest.parse(f["plain"]), Digest.parse(f["sealed"]))
            for path, f in sorted(predicate["files"].items())
        )
        return cls(
            predicate["model"],
            predicate["version"],
            Digest.parse(predicate["content"]),
            tuple(files),
            predicate["facts"],
        )


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


def check_paths(paths: list[str]) -> None:
    """Raise UserError for a path that could leave a folder, hide in it, or have a twin."""
    seen: dict[str, str] = {}
    for path in paths:
        if _PATH.fullmatch(path) is None or path.lower() == OPENED:
            raise UserError(
                f"{path!r}: not a path of a release; expected letters, digits, '.', '_' and '-' "
                f"between slashes, no leading dot, not {OPENED}",
                code="release-path",
            )
        twin = seen.setdefault(path.lower(), path)
        if twin != path:
            raise UserError(
                f"{path!r} and {twin!r}: differ only in case; rename one", code="release-path"
            )
