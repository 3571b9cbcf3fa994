"""Three tables out of one: by time, or by the hash of a key; every row in exactly one."""

import contextlib
import datetime
import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.foundation import digests, engine, once, sql
from components.foundation.errors import UserError, nearest
from components.foundation.tables import DataFiles, TableRef, Tables

if TYPE_CHECKING:
    import pyarrow as pa

NAMES = ("train", "validation", "test")
_HASH_STEPS = 1_000_000


@dataclass(frozen=True, slots=True)
class Rule:
    """How rows are divided: a column, and where its first and second cut are."""

    column: str
    boundaries: tuple[str, str] | None = None  # times, RFC 3339
    fractions: tuple[float, float, float] | None = None  # of the hashed key

    @classmethod
    def parse(cls, column: str, boundaries: Sequence[str], fractions: Sequence[float]) -> "Rule":
        """Read what a face was given; exactly one of boundaries and fractions has to be."""
        if bool(boundaries) == bool(fractions):
            raise UserError(
                "split: give `boundaries` (two times) to split by time, or `fractions` "
                "(three, adding up to 1) to split by the hash of a key; got "
                + ("both" if boundaries else "neither"),
                code="split-rule",
            )
        if boundaries:
            return cls(column, boundaries=_times(boundaries))
        return cls(column, fractions=_shares(fractions))

    def conditions(self) -> dict[str, str]:
        """Return part -> SQL condition; every known value meets exactly one."""
        if self.boundaries:
            place = f"CAST({sql.name(self.column)} AS TIMESTAMPTZ)"
            first, second = (f"CAST({sql.literal(t)} AS TIMESTAMPTZ)" for t in self.boundaries)
        else:
            train, validation, _ = self.fractions or (1.0, 0.0, 0.0)
            # MD5, because DuckDB's own hash() may change between its versions
            text = f"CAST({sql.name(self.column)} AS VARCHAR)"
            place = f"md5_number_upper({text}) % {_HASH_STEPS}"
            first = str(round(train * _HASH_STEPS))
            second = str(round((train + validation) * _HASH_STEPS))
        ranges = (
            f"{place} < {first}",
            f"{place} >= {first} AND {place} < {second}",
            f"{place} >= {second}",
        )
        return dict(zip(NAMES, ranges, strict=True))


def divide(
    files: DataFiles, rule: Rule, *, target: TableRef, tables: Tables
) -> dict[str, TableRef]:
    """Write `<target>-train`, `-validation` and `-test`, each once for the same inputs.

    The parts lie beside each other, not inside a folder that may be a table itself.

    Raises:
        UserError: the column is not there, has NULLs, or a part would be empty.
    """
    if rule.column not in files.schema.names:
        known = nearest(rule.column, files.schema.names)
        raise UserError(
            f"split: {files.ref} has no column {rule.column!r}; {known}", code="column-unknown"
        )
    conditions = rule.conditions()
    _every_row_has_a_part(files, rule, conditions)
    return {
        part: once.replace(
            tables,
            TableRef(target.bucket, f"{target.name}-{part}"),
            digests.of_json([str(files.ref), condition]),
            functools.partial(_rows, files, condition),
        )
        for part, condition in conditions.items()
    }


def _every_row_has_a_part(files: DataFiles, rule: Rule, conditions: Mapping[str, str]) -> None:
    counts = ", ".join(f"count(*) FILTER (WHERE {condition})" for condition in conditions.values())
    query = (
        f"SELECT count(*) - count({sql.name(rule.column)}), {counts} FROM {files.duckdb_source()}"  # noqa: S608
    )
    with engine.opened([files]) as connection:
        unknown, *sizes = connection.execute(query).fetchall()[0]
    if unknown:
        raise UserError(
            f"split: {unknown} rows of {files.ref} have no {rule.column!r} and would be lost; "
            "fill it or leave those rows out upstream",
            code="split-null",
        )
    for part, size in zip(conditions, sizes, strict=True):
        if not size and not (rule.fractions and not rule.fractions[NAMES.index(part)]):
            raise UserError(
                f"split: no row of {files.ref} falls into {part!r} "
                f"({dict(zip(conditions, sizes, strict=True))}); move the boundaries",
                code="split-part-empty",
            )


@contextlib.contextmanager
def _rows(files: DataFiles, condition: str) -> Iterator["pa.RecordBatchReader"]:
    query = f"SELECT {sql.names(files.schema.names)} FROM {files.duckdb_source()} WHERE {condition}"  # noqa: S608
    with (
        engine.opened([files]) as connection,
        engine.streamed(connection, query) as stream,
    ):
        yield stream


def _times(texts: Sequence[str]) -> tuple[str, str]:
    try:
        moments = [datetime.datetime.fromisoformat(text) for text in texts]
    except (TypeError, ValueError) as error:
        raise UserError(
            f"split: boundaries {list(texts)}: {error}; expected RFC 3339", code="split-rule"
        ) from error
    known = [m if m.tzinfo else m.replace(tzinfo=datetime.UTC) for m in moments]
    if len(known) != 2 or known[0] >= known[1]:
        raise UserError(
            f"split: boundaries {list(texts)}: expected two times, the earlier first",
            code="split-rule",
        )
    return known[0].isoformat(), known[1].isoformat()


def _shares(values: Sequence[float]) -> tuple[float, float, float]:
    shares = [float(value) for value in values]
    if len(shares) != 3 or min(shares) < 0 or abs(sum(shares) - 1) > 1e-9:
        raise UserError(
            f"split: fractions {list(values)}: expected train, validation and test, adding up to 1",
            code="split-rule",
        )
    return shares[0], shares[1], shares[2]
