"""What a table promises: YAML, read strictly.

A key, rule, type or severity that is not known is an error that names the nearest one:
a contract with a typo would otherwise check less than its author believes.
"""

import datetime
import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import yaml

from components.foundation.errors import UserError, nearest

Fields: TypeAlias = Mapping[str, Any]
T = TypeVar("T", bound=enum.StrEnum)
N = TypeVar("N", int, float)


class Severity(enum.StrEnum):
    """What a broken rule does: refuse the table, or only be reported."""

    ERROR = "error"
    WARNING = "warning"


class Type(enum.StrEnum):
    """The type of a column; its value is what contracts call it."""

    STRING = "string"
    INT64 = "int64"
    DOUBLE = "double"
    BOOL = "bool"
    TIMESTAMP = "timestamp"
    DATE = "date"


@dataclass(frozen=True, slots=True)
class Range:
    min: float | str | None
    max: float | str | None


@dataclass(frozen=True, slots=True)
class OneOf:
    values: tuple[str | int | float | bool, ...]


@dataclass(frozen=True, slots=True)
class Matches:
    pattern: str


Test: TypeAlias = Range | OneOf | Matches


@dataclass(frozen=True, slots=True)
class Terms:
    """How seriously a rule is meant: its severity, and the fraction of rows that may break it."""

    severity: Severity = Severity.ERROR
    tolerate: float = 0.0


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `text` says that it is stored as text that must cast to its type."""

    name: str
    type: Type
    text: bool
    nullable: bool
    terms: Terms  # of the not-null rule and the type
    tests: tuple[tuple[Test, Terms], ...]


@dataclass(frozen=True, slots=True)
class Key:
    columns: tuple[str, ...]
    terms: Terms


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    sql: str
    terms: Terms


@dataclass(frozen=True, slots=True)
class Volume:
    min: int = 1  # an empty table is refused unless the contract says otherwise
    max: int | None = None
    terms: Terms = Terms()


@dataclass(frozen=True, slots=True)
class Freshness:
    column: str
    within_days: float
    terms: Terms = Terms()


@dataclass(frozen=True, slots=True)
class Contract:
    name: str
    version: int
    columns: tuple[Column, ...]
    keys: tuple[Key, ...] = ()
    checks: tuple[Check, ...] = ()
    volume: Volume = Volume()
    freshness: Freshness | None = None


def parse(text: str) -> Contract:
    """Read a contract from YAML.

    Raises:
        UserError: it is no YAML, misses something, or says something unknown.
    """
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(
            f"contract: no YAML: {' '.join(str(error).split())}", code="contract-malformed"
        ) from error
    allowed = ["name", "version", "columns", "keys", "checks", "volume", "freshness"]
    fields = _fields(value, allowed, "contract", required=("name", "columns"))
    where = f"contract {fields['name']}"
    contract = Contract(
        name=str(fields["name"]),
        version=_number(fields.get("version", 1), int, f"{where}: version"),
        columns=tuple(_column(f, where) for f in _list(fields["columns"], f"{where}: columns")),
        keys=tuple(_key(f, where) for f in _list(fields.get("keys", []), f"{where}: keys")),
        checks=tuple(_check(f, where) for f in _list(fields.get("checks", []), f"{where}: checks")),
        volume=_volume(fields.get("volume", {}), f"{where}: volume"),
        freshness=_freshness(fields.get("freshness"), f"{where}: freshness"),
    )
    _names_hold(contract, where)
    return contract


def _column(value: Any, where: str) -> Column:
    allowed = ["name", "type", "text", "nullable", "tolerate", "severity", "rules"]
    fields = _fields(value, allowed, f"{where}: column", required=("name", "type"))
    where = f"{where}: column {fields['name']!r}"
    terms = _terms(fields, where)
    return Column(
        name=str(fields["name"]),
        type=_choice(Type, fields["type"], f"{where}: type"),
        text=_flag(fields.get("text", False), f"{where}: text"),
        nullable=_flag(fields.get("nullable", True), f"{where}: nullable"),
        terms=terms,
        tests=tuple(
            _test(rule, where, terms.severity)
            for rule in _list(fields.get("rules", []), f"{where}: rules")
        ),
    )


def _test(value: Any, where: str, severity: Severity) -> tuple[Test, Terms]:
    kinds = ["range", "one_of", "matches"]
    fields = _fields(value, [*kinds, "tolerate", "severity"], f"{where}: rule")
    given = [kind for kind in kinds if kind in fields]
    if len(given) != 1:
        raise UserError(
            f"{where}: a rule says {given or 'nothing'}; expected one of {kinds}",
            code="contract-rule-unknown",
        )
    terms = _terms({"severity": severity, **fields}, where)
    inner = f"{where}: {given[0]}"
    match given[0]:
        case "range":
            return _range(fields["range"], inner), terms
        case "one_of":
            values = _list(fields["one_of"], inner, least=1)
            return OneOf(tuple(_value(value, inner) for value in values)), terms
        case _:
            return Matches(str(fields["matches"])), terms


def _range(value: Any, where: str) -> Range:
    fields = _fields(value, ["min", "max"], where)
    low, high = (_bound(fields.get(end), f"{where}: {end}") for end in ("min", "max"))
    if low is None and high is None:
        raise UserError(
            f"{where}: has neither min nor max; give one of them", code="contract-malformed"
        )
    return Range(low, high)


def _bound(value: Any, where: str) -> float | str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        raise UserError(
            f"{where}: {value!r}; expected a number, or a date or time", code="contract-malformed"
        )
    return _value(value, where)


def _value(value: Any, where: str) -> str | int | float | bool:
    """Read a value to compare with; YAML makes dates and times of texts, which become texts."""
    if isinstance(value, str | int | float):
        return value
    if isinstance(value, datetime.date):
        return value.isoformat()
    raise UserError(
        f"{where}: {value!r}; expected a text, a number, a flag, a date or a time",
        code="contract-malformed",
    )


def _key(value: Any, where: str) -> Key:
    fields = _fields(value, ["columns", "tolerate", "severity"], f"{where}: key", ("columns",))
    columns = _list(fields["columns"], f"{where}: key: columns", least=1)
    return Key(tuple(map(str, columns)), _terms(fields, f"{where}: key"))


def _check(value: Any, where: str) -> Check:
    allowed = ["name", "sql", "tolerate", "severity"]
    fields = _fields(value, allowed, f"{where}: check", required=("name", "sql"))
    terms = _terms(fields, f"{where}: check {fields['name']!r}")
    return Check(str(fields["name"]), str(fields["sql"]), terms)


def _volume(value: Any, where: str) -> Volume:
    fields = _fields(value, ["min", "max", "severity"], where)
    high = fields.get("max")
    return Volume(
        min=_number(fields.get("min", 1), int, f"{where}: min"),
        max=None if high is None else _number(high, int, f"{where}: max"),
        terms=_terms(fields, where),
    )


def _freshness(value: Any, where: str) -> Freshness | None:
    if value is None:
        return None
    fields = _fields(value, ["column", "within_days", "severity"], where, ("column", "within_days"))
    days = _number(fields["within_days"], float, f"{where}: within_days")
    return Freshness(str(fields["column"]), days, _terms(fields, where))


def _names_hold(contract: Contract, where: str) -> None:
    """Refuse columns declared twice, and keys or freshness over columns not declared."""
    known = [column.name for column in contract.columns]
    twice = {name for name in known if known.count(name) > 1}
    if twice:
        raise UserError(
            f"{where}: column {min(twice)!r} is declared twice", code="contract-malformed"
        )
    used = [name for key in contract.keys for name in key.columns]
    if contract.freshness:
        used.append(contract.freshness.column)
    for name in used:
        if name not in known:
            raise UserError(
                f"{where}: column {name!r} is not declared; {nearest(name, known)}",
                code="contract-column-undeclared",
            )


def _terms(fields: Fields, where: str) -> Terms:
    tolerate = _number(fields.get("tolerate", 0.0), float, f"{where}: tolerate")
    if not 0 <= tolerate <= 1:
        raise UserError(
            f"{where}: tolerate {tolerate}; expected a fraction from 0 to 1",
            code="contract-malformed",
        )
    return Terms(_choice(Severity, fields.get("severity", "error"), f"{where}: severity"), tolerate)


def _fields(
    value: Any, allowed: Sequence[str], where: str, required: Sequence[str] = ()
) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UserError(
            f"{where}: got {value!r}; expected fields such as {', '.join(allowed)}",
            code="contract-malformed",
        )
    for key in value:
        if key not in allowed:
            raise UserError(
                f"{where}: unknown {str(key)!r}; {nearest(str(key), list(allowed))}",
                code="contract-name-unknown",
            )
    for key in required:
        if value.get(key) is None:
            raise UserError(f"{where}: lacks {key!r}; add it", code="contract-malformed")
    return value


def _list(value: Any, where: str, *, least: int = 0) -> list[Any]:
    if not isinstance(value, list) or len(value) < least:
        raise UserError(f"{where}: got {value!r}; expected a list", code="contract-malformed")
    return value


def _choice(kind: type[T], value: Any, where: str) -> T:
    known = [str(member) for member in kind]
    if value not in known:
        raise UserError(
            f"{where}: unknown {str(value)!r}; {nearest(str(value), known)}",
            code="contract-name-unknown",
        )
    return kind(value)


def _flag(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise UserError(
            f"{where}: got {value!r}; expected true or false", code="contract-malformed"
        )
    return value


def _number(value: Any, kind: type[N], where: str) -> N:
    accepted = (int, float) if kind is float else (int,)
    if isinstance(value, bool) or not isinstance(value, accepted):
        raise UserError(
            f"{where}: got {value!r}; expected a number ({kind.__name__})",
            code="contract-malformed",
        )
    return kind(value)
