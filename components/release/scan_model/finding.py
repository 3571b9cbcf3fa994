"""What a scan says of one file."""

import enum
from collections.abc import Iterator
from dataclasses import dataclass


class Rule(enum.StrEnum):
    """What a finding is about; every rule but `NOTE` refuses the folder."""

    BROKEN = "broken"
    BOMB = "bomb"
    CODE = "code"
    DISGUISED = "disguised"
    EXECUTABLE = "executable"
    EXTERNAL_DATA = "external data"
    HIDDEN_BYTES = "hidden bytes"
    LINK = "link"
    NAME = "name"
    NOTE = "note"
    OPERATOR = "operator"
    PICKLE = "pickle"
    PROVENANCE = "provenance"
    SCANNER = "scanner"
    SIZE = "size"
    UNKNOWN = "unknown type"


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing that was found in one file.

    Attributes:
        file: path below the folder; `archive.zip!member` for what lies in an archive.
        rule: what it is about.
        says: what was found, what was expected, what to do.
    """

    file: str
    rule: Rule
    says: str

    @property
    def refuses(self) -> bool:
        return self.rule is not Rule.NOTE

    def to_dict(self) -> dict[str, str]:
        return {"file": self.file, "rule": str(self.rule), "says": self.says}


Findings = Iterator[Finding]


def shown(text: str, most: int = 80) -> str:
    """Return text that came from a file as it may stand in a message: short, and plain ASCII."""
    return ascii(text[:most])[1:-1] + ("..." if len(text) > most else "")
