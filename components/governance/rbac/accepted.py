"""Ways up that somebody has accepted, each with a reason; anything new is a finding again."""

import fnmatch
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import yaml

from components.foundation.errors import UserError
from components.governance.rbac.paths import Finding

_FIELDS = {"identity", "path", "by", "gains", "reason"}
_WANTED = _FIELDS - {"gains"}


@dataclass(frozen=True, slots=True)
class Acceptance:
    """One accepted way; names may hold `*`, as file names in a shell.

    It covers a finding only while the finding opens by no other right and gains no more than
    was accepted.
    """

    identity: str
    path: str
    by: tuple[str, ...]
    reason: str
    gains: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, row: Any) -> Self:
        """Make one from a row of a file.

        Raises:
            UserError: a field is missing, unknown, or no text.
        """
        if not isinstance(row, dict) or not _WANTED <= set(row) <= _FIELDS:
            got = sorted(map(str, row)) if isinstance(row, dict) else row
            raise _wrong(f"got {got}, expected {', '.join(sorted(_WANTED))} and perhaps gains")
        by, gains = (_texts(row.get(key, []), key) for key in ("by", "gains"))
        identity, path, reason = (_text(row[key], key) for key in ("identity", "path", "reason"))
        return cls(identity, path, by, reason, gains)

    def covers(self, finding: Finding) -> bool:
        return (
            fnmatch.fnmatchcase(str(finding.identity), self.identity)
            and finding.path == self.path
            and all(_any(one, self.by) for one in finding.by)
            and all(_any(one, self.gains) for one in finding.gains)
        )


@dataclass(frozen=True, slots=True)
class Sorted:
    """Findings apart: what is open, what is accepted, and acceptances that nothing needs."""

    open: tuple[Finding, ...]
    accepted: tuple[tuple[Finding, Acceptance], ...]
    idle: tuple[Acceptance, ...]


def parse(text: str) -> tuple[Acceptance, ...]:
    """Read a file of acceptances.

    Raises:
        UserError: it is no YAML, of another format, or a row is malformed.
    """
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise _wrong(f"no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(value, dict) or value.get("format") != 1:
        raise _wrong("expected a mapping with `format: 1` and `accepted`, a list")
    rows = value.get("accepted")
    if not isinstance(rows, list):
        raise _wrong(f"accepted is {rows!r}, expected a list")
    return tuple(Acceptance.from_dict(row) for row in rows)


def sort(findings: Iterable[Finding], acceptances: Sequence[Acceptance]) -> Sorted:
    """Part findings by whether somebody has accepted them."""
    still_open, accepted = [], []
    for finding in findings:
        cover = next((one for one in acceptances if one.covers(finding)), None)
        if cover:
            accepted.append((finding, cover))
        else:
            still_open.append(finding)
    used = {cover for _, cover in accepted}
    idle = tuple(one for one in acceptances if one not in used)
    return Sorted(tuple(still_open), tuple(accepted), idle)


def _any(text: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(text, pattern) for pattern in patterns)


def _texts(value: Any, key: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise _wrong(f"{key} is {value!r}, expected a list of texts")
    return tuple(_text(one, key) for one in value)


def _text(value: Any, key: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _wrong(f"{key} is {value!r}, expected a text")
    return value.strip()


def _wrong(what: str) -> UserError:
    return UserError(f"accepted findings: {what}; correct the file", code="rbac-acceptance")
