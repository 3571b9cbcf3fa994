"""Count what breaks a contract, in one pass over the rows, and judge the counts."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.foundation import digests, engine, sql
from components.foundation.errors import UserError
from components.foundation.tables import DataFiles
from components.foundation.verdict import Decision, Verdict
from components.preparation.validate import contract as c
from components.preparation.validate import rules as r

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True, slots=True)
class Counters:
    """How many rows there are and how many break each rule; `a + b` is of the rows of both.

    Duplicates of a key add up only over parts that share no key, such as months.
    """

    rows: int
    broken: Mapping[str, int]
    newest: datetime.datetime | None = None

    def __add__(self, other: "Counters") -> "Counters":
        names = {**self.broken, **other.broken}
        broken = {n: self.broken.get(n, 0) + other.broken.get(n, 0) for n in names}
        known = [moment for moment in (self.newest, other.newest) if moment is not None]
        return Counters(self.rows + other.rows, broken, max(known, default=None))


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule, and how it did."""

    rule: str
    expected: str
    severity: c.Severity
    broken: int
    fraction: float
    tolerated: float
    holds: bool

    def to_dict(self) -> dict[str, Any]:
        return {
            name: str(value) if isinstance(value, c.Severity) else value
            for name, value in ((n, getattr(self, n)) for n in self.__dataclass_fields__)
        }


def check(files: DataFiles, contract: c.Contract, *, as_of: str = "") -> Verdict:
    """Judge a pinned table by its contract.

    Args:
        files: the table's data files.
        contract: what it promises.
        as_of: the time against which freshness is measured, RFC 3339; empty: it is not.
    """
    now = _moment(as_of)
    rules = r.of(contract, files.schema)
    with engine.opened([files]) as connection:
        counters = count(connection, files.duckdb_source(), rules, now=now)
    return judge(files, rules, counters, now=now)


def count(
    connection: "duckdb.DuckDBPyConnection",
    source: str,
    rules: r.Rules,
    *,
    now: datetime.datetime | None = None,
) -> Counters:
    """Count every row rule in one aggregate pass, and duplicates in one more for each key."""
    counts = [f"count(*) FILTER (WHERE {rule.broken})" for rule in rules.rows]
    newest = _newest(rules, now)
    query = f"SELECT count(*), {newest}, {', '.join(['0', *counts])} FROM {source}"  # noqa: S608 - quoted by `rules`
    row = connection.execute(query).fetchall()[0]
    broken = {rule.name: number for rule, number in zip(rules.rows, row[3:], strict=True)}
    for key in rules.keys:
        broken[key.name] = connection.execute(_duplicates(source, key)).fetchall()[0][0]
    fresh = None if row[1] is None else datetime.datetime.fromtimestamp(row[1], datetime.UTC)
    return Counters(row[0], broken, fresh)


def judge(
    files: DataFiles, rules: r.Rules, counters: Counters, *, now: datetime.datetime | None = None
) -> Verdict:
    """Turn counts into a verdict; a broken warning is reported and refuses nothing."""
    findings = _findings(rules, counters, now)
    failed = [f for f in findings if not f.holds and f.severity is c.Severity.ERROR]
    warned = [f for f in findings if not f.holds and f.severity is c.Severity.WARNING]
    return Verdict(
        subject=f"contract {rules.contract.name}",
        decision=Decision.REFUSE if failed else Decision.ACCEPT,
        reason=_reason(counters.rows, findings, failed, warned),
        evidence={
            "table": str(files.ref),
            "contract_version": rules.contract.version,
            "rows": counters.rows,
            "rules": [finding.to_dict() for finding in findings],
            "warnings": [finding.rule for finding in warned],
            **_age(rules, counters, now),
        },
        judged=str(digests.of_json(str(files.ref))),
    )


def _findings(rules: r.Rules, counters: Counters, now: datetime.datetime | None) -> list[Finding]:
    rows = [_finding(x.name, x.expected, x.terms, counters) for x in rules.rows]
    keys = [_finding(k.name, "no duplicates", k.terms, counters) for k in rules.keys]
    return [*rows, *keys, _volume(rules.contract.volume, counters.rows)] + (
        [_freshness(rules.contract.freshness, counters.newest, now)]
        if rules.contract.freshness and now
        else []
    )


def _finding(name: str, expected: str, terms: c.Terms, counters: Counters) -> Finding:
    broken = counters.broken[name]
    fraction = broken / counters.rows if counters.rows else 0.0
    holds = fraction <= terms.tolerate
    return Finding(name, expected, terms.severity, broken, fraction, terms.tolerate, holds)


def _volume(volume: c.Volume, rows: int) -> Finding:
    holds = rows >= volume.min and (volume.max is None or rows <= volume.max)
    expected = f"{volume.min}..{'' if volume.max is None else volume.max} rows"
    return _whole("volume", expected, volume.terms, holds)


def _freshness(
    freshness: c.Freshness, newest: datetime.datetime | None, now: datetime.datetime
) -> Finding:
    oldest = now - datetime.timedelta(days=freshness.within_days)
    holds = newest is not None and newest >= oldest
    expected = f"newest {freshness.column} within {freshness.within_days:g} days of {now:%F %R}"
    return _whole("freshness", expected, freshness.terms, holds)


def _whole(name: str, expected: str, terms: c.Terms, holds: bool) -> Finding:
    """Make the finding of a rule about the table as a whole."""
    return Finding(name, expected, terms.severity, int(not holds), float(not holds), 0.0, holds)


def _age(rules: r.Rules, counters: Counters, now: datetime.datetime | None) -> dict[str, Any]:
    if rules.contract.freshness is None:
        return {}
    if now is None:
        return {"freshness": "not judged: no as_of was given"}
    return {"newest": counters.newest.isoformat() if counters.newest else None}


def _reason(
    rows: int, findings: list[Finding], failed: list[Finding], warned: list[Finding]
) -> str:
    if failed:
        worst = max(failed, key=lambda f: f.fraction - f.tolerated)
        return (
            f"{len(failed)} of {len(findings)} rules are broken beyond tolerance; worst: "
            f"{worst.rule}, {worst.broken} of {rows} rows (tolerated {worst.tolerated:.2%})"
        )
    also = f", {len(warned)} with a warning" if warned else ""
    return f"{rows} rows keep all {len(findings)} rules within tolerance{also}"


def _newest(rules: r.Rules, now: datetime.datetime | None) -> str:
    """Return SQL for the newest moment not after now: one row from the future proves nothing."""
    if not rules.freshness or now is None:
        return "NULL"
    moment = f"CAST({rules.freshness} AS TIMESTAMPTZ)"
    bound = f"CAST({sql.literal(now.isoformat())} AS TIMESTAMPTZ)"
    return f"epoch(max({moment}) FILTER (WHERE {moment} <= {bound}))"


def _duplicates(source: str, key: r.KeyRule) -> str:
    columns = sql.names(key.columns)
    known = " AND ".join(f"{sql.name(column)} IS NOT NULL" for column in key.columns)
    groups = f"SELECT count(*) AS n FROM {source} WHERE {known} GROUP BY {columns} HAVING n > 1"  # noqa: S608
    return f"SELECT CAST(coalesce(sum(n - 1), 0) AS BIGINT) FROM ({groups})"  # noqa: S608


def _moment(text: str) -> datetime.datetime | None:
    if not text:
        return None
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise UserError(
            f"as_of {text!r}: expected RFC 3339, e.g. 2013-07-01T00:00:00Z", code="time-malformed"
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
