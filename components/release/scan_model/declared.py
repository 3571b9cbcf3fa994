"""What a model declares of itself: the licence, where it comes from, and what is unusual in it."""

import json
import pathlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from components.foundation.errors import UserError, nearest
from components.release.scan_model.finding import Finding, Rule, shown

CARD: Final = "model.json"
_MOST_BYTES: Final = 16 << 20
_PROVENANCE: Final = ("licence", "source", "trained_by")
_KINDS: Final = ("pickles", "domains")


@dataclass(frozen=True, slots=True)
class Declared:
    """What model.json and the step's arguments say; an argument goes before the file.

    Attributes:
        provenance: licence, source, trained_by.
        tables: the versions of the tables that it was trained from.
        pickles: file -> the globals that it may name beside those of tensors.
        domains: domains of custom operators that the serving runtime is known to have.
    """

    provenance: Mapping[str, str] = field(default_factory=dict)
    tables: tuple[str, ...] = ()
    pickles: Mapping[str, frozenset[str]] = field(default_factory=dict)
    domains: frozenset[str] = frozenset()

    @classmethod
    def read(
        cls, folder: pathlib.Path, *, given: Mapping[str, str], extra: Mapping[str, Any]
    ) -> Self:
        """Read what a folder's card says, and what was given beside it.

        Args:
            folder: has model.json, or has none.
            given: licence, source and trained_by; empty ones are not given.
            extra: pickles and domains as arguments of the step.

        Raises:
            UserError: a declaration has another form than the documented one.
        """
        card = _card(folder / CARD)
        said = _mapping(card.get("provenance", {}), "provenance")
        both = [_mapping(card.get("declares", {}), "declares"), _mapping(extra, "declared")]
        provenance = {name: str(given.get(name) or said.get(name, "")) for name in _PROVENANCE}
        tables = tuple(str(card[name]) for name in ("train", "validation") if card.get(name))
        return cls(
            provenance,
            tables or tuple(map(str, _list(said.get("tables", []), "provenance.tables"))),
            {name: globals_ for one in both for name, globals_ in _pickles(one)},
            frozenset(str(d) for one in both for d in _list(one.get("domains", []), "domains")),
        )

    def findings(self) -> Iterator[Finding]:
        """Yield what is missing of the licence and the provenance."""
        for name in _PROVENANCE:
            if not self.provenance.get(name, "").strip():
                yield _lacks(f"{name}: missing; give it to the step, or write it to provenance")
        if not self.tables:
            yield _lacks("train: missing; say from which version of which table it was trained")
        licence = self.provenance.get("licence", "").strip()
        if licence and not _is_spdx(licence):
            yield _lacks(
                f"licence {shown(licence)}: is no SPDX expression; expected one such as "
                "Apache-2.0, or LicenseRef- and a name of your own"
            )


def _lacks(says: str) -> Finding:
    return Finding(CARD, Rule.PROVENANCE, says)


def _is_spdx(text: str) -> bool:
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

    try:
        canonicalize_license_expression(text)
    except InvalidLicenseExpression:
        return False
    return True


def _card(path: pathlib.Path) -> Mapping[str, Any]:
    """Return what a card says; what is no card says nothing, and is found broken elsewhere."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size > _MOST_BYTES:
        return {}
    try:
        value = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _pickles(declares: Mapping[str, Any]) -> Iterator[tuple[str, frozenset[str]]]:
    if unknown := declares.keys() - set(_KINDS):
        name = min(unknown)
        raise _malformed(f"{name!r}: unknown; {nearest(name, list(_KINDS))}")
    for file, names in _mapping(declares.get("pickles", {}), "pickles").items():
        yield file, frozenset(str(name) for name in _list(names, f"pickles.{file}"))


def _mapping(value: object, what: str) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    raise _malformed(f"{what}: is {type(value).__name__}, expected names and values")


def _list(value: object, what: str) -> list[Any]:
    if isinstance(value, list):
        return value
    raise _malformed(f"{what}: is {type(value).__name__}, expected a list")


def _malformed(what: str) -> UserError:
    return UserError(
        f"declaration {what}; expected pickles as file: [globals], and domains as a list",
        code="declaration-malformed",
    )
