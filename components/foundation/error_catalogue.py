"""The catalogue of errors: what each code means, why it happens, and what to do."""

import functools
import pathlib
from collections.abc import Mapping
from dataclasses import dataclass

import yaml

from components.foundation.errors import UserError, nearest

_FILE = pathlib.Path(__file__).with_name("errors.yaml")


@dataclass(frozen=True, slots=True)
class Entry:
    """One situation: what happened, its one cause and its one cure; `kind` is who must act."""

    code: str
    theme: str
    kind: str
    title: str
    cause: str
    cure: str


@functools.cache
def entries() -> Mapping[str, Entry]:
    """Read the catalogue: code -> entry, by theme."""
    themes: dict[str, dict[str, dict[str, str]]] = yaml.safe_load(_FILE.read_text())
    read = (
        Entry(code, theme, **said)
        for theme, codes in themes.items()
        for code, said in codes.items()
    )
    return {entry.code: entry for entry in read}


def entry(code: str) -> Entry:
    """Find an entry; raises UserError with the nearest code when there is none."""
    known = entries()
    if code not in known:
        raise UserError(
            f"error {code!r}: no such code; {nearest(code, [*known])}", code="error-unknown"
        )
    return known[code]
