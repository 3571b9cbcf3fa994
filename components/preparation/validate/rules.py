"""A contract against a table's schema: rules as SQL over one row."""

import datetime
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from components.foundation import sql
from components.foundation.errors import UserError, nearest
from components.preparation.validate import contract as c

if TYPE_CHECKING:
    import pyarrow as pa

_SQL_TYPES = {
    c.Type.STRING: "VARCHAR",
    c.Type.INT64: "BIGINT",
    c.Type.DOUBLE: "DOUBLE",
    c.Type.BOOL: "BOOLEAN",
    c.Type.TIMESTAMP: "TIMESTAMPTZ",
    c.Type.DATE: "DATE",
}


@dataclass(frozen=True, slots=True)
class RowRule:
    """A rule that each row keeps or breaks by itself; `broken` is SQL, NULL counts as kept."""

    name: str
    expected: str
    broken: str
    terms: c.Terms


@dataclass(frozen=True, slots=True)
class KeyRule:
    """A rule that rows keep together: no two have the same values here; NULLs never meet."""

    name: str
    columns: tuple[str, ...]
    terms: c.Terms


@dataclass(frozen=True, slots=True)
class Rules:
    """A contract, compiled against one schema."""

    contract: c.Contract
    rows: tuple[RowRule, ...]
    keys: tuple[KeyRule, ...]
    freshness: str  # SQL of the column that tells the age, "" if none does


def of(contract: c.Contract, schema: "pa.Schema") -> Rules:
    """Compile a contract into SQL over the raw columns of a table.

    Raises:
        UserError: the contract names a column that the table lacks, or a check is wrong.
    """
    for column in contract.columns:
        if column.name not in schema.names:
            raise UserError(
                f"contract {contract.name}: the table has no column {column.name!r}; "
                f"{nearest(column.name, schema.names)}",
                code="contract-column-missing",
            )
    typed = _typed(contract, schema)
    rows = [r for column in contract.columns for r in _column_rules(column, schema, typed)]
    rows += [_check(check, typed, contract.name) for check in contract.checks]
    keys = [KeyRule(f"key {', '.join(k.columns)}", k.columns, k.terms) for k in contract.keys]
    fresh = typed[contract.freshness.column] if contract.freshness else ""
    return Rules(contract, tuple(_distinct(rows)), tuple(keys), fresh)


def _typed(contract: c.Contract, schema: "pa.Schema") -> dict[str, str]:
    """Return column -> SQL of its value in the contract's type, for every column there is."""
    typed = {name: sql.name(name) for name in schema.names}
    for column in contract.columns:
        if column.text or not _same(column.type, schema.field(column.name).type):
            typed[column.name] = f"TRY_CAST({sql.name(column.name)} AS {_SQL_TYPES[column.type]})"
    return typed


def _column_rules(
    column: c.Column, schema: "pa.Schema", typed: Mapping[str, str]
) -> Iterator[RowRule]:
    raw, value = sql.name(column.name), typed[column.name]
    if not column.nullable:
        yield RowRule(f"{column.name}: not null", "a value", f"{raw} IS NULL", column.terms)
    stored = schema.field(column.name).type
    if column.text and _same(c.Type.STRING, stored):
        broken = f"{raw} IS NOT NULL AND {value} IS NULL"
        yield RowRule(f"{column.name}: type", f"text of {column.type}", broken, column.terms)
    elif column.text or not _same(column.type, stored):
        want = "text" if column.text else str(column.type)
        yield RowRule(f"{column.name}: type", f"{want}, not {stored}", "true", column.terms)
    for test, terms in column.tests:
        yield _test(column, value, test, terms)


def _test(column: c.Column, value: str, test: c.Test, terms: c.Terms) -> RowRule:
    match test:
        case c.Range(low, high):
            ends = [
                f"{value} {sign} {_end(end, column.type)}"
                for sign, end in (("<", low), (">", high))
                if end is not None
            ]
            expected = f"{'' if low is None else low}..{'' if high is None else high}"
            return RowRule(f"{column.name}: range", expected, " OR ".join(ends), terms)
        case c.OneOf(values):
            listed = ", ".join(map(sql.literal, values))
            expected = ", ".join(map(str, values))
            return RowRule(f"{column.name}: one_of", expected, f"{value} NOT IN ({listed})", terms)
        case c.Matches(pattern):
            broken = f"NOT regexp_matches({value}, {sql.literal(pattern)})"
            return RowRule(f"{column.name}: matches", pattern, broken, terms)
        case _:
            assert_never(test)


def _end(end: float | str, kind: c.Type) -> str:
    """Write one end of a range; dates and times are checked here, not in the engine."""
    if kind not in {c.Type.DATE, c.Type.TIMESTAMP}:
        return sql.literal(end)
    try:
        datetime.datetime.fromisoformat(str(end))
    except ValueError as error:
        raise UserError(
            f"range: {end!r} is no date or time; expected RFC 3339", code="contract-malformed"
        ) from error
    return f"CAST({sql.literal(str(end))} AS {_SQL_TYPES[kind]})"


def _check(check: c.Check, typed: Mapping[str, str], contract: str) -> RowRule:
    where = f"contract {contract}: check {check.name!r}"
    kept = sql.condition(check.sql, typed, where=where)
    return RowRule(check.name, check.sql, f"NOT ({kept})", check.terms)


def _distinct(rules: list[RowRule]) -> Iterator[RowRule]:
    """Number the rules that would share a name: counts go by name."""
    seen: dict[str, int] = {}
    for rule in rules:
        seen[rule.name] = seen.get(rule.name, 0) + 1
        again = seen[rule.name]
        name = rule.name if again == 1 else f"{rule.name} {again}"
        yield RowRule(name, rule.expected, rule.broken, rule.terms)


def _same(wanted: c.Type, got: "pa.DataType") -> bool:
    import pyarrow.types as is_

    match wanted:
        case c.Type.STRING:
            return is_.is_string(got) or is_.is_large_string(got) or is_.is_string_view(got)
        case c.Type.INT64:
            return is_.is_integer(got)
        case c.Type.DOUBLE:
            return is_.is_floating(got)
        case c.Type.BOOL:
            return is_.is_boolean(got)
        case c.Type.TIMESTAMP:
            return is_.is_timestamp(got)
        case c.Type.DATE:
            return is_.is_date(got)
        case _:
            assert_never(wanted)
