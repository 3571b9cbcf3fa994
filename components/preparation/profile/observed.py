"""Profile a table of any size: a sample fixes the shape, a stream of batches is counted.

Both see rows in the order of their content, so that the same rows have the same profile.

Columns that the table lacks are looked for in its JSON column `features`, which is how
observations hold them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from components.foundation import engine, sql
from components.foundation.errors import UserError, nearest
from components.foundation.tables import DataFiles
from components.preparation.profile.columns import Numeric
from components.preparation.profile.profile import Profile

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_SAMPLE_ROWS = 1_000_000
_FEATURES = "features"
_TEXTS = '"falaj texts"'


@dataclass(frozen=True, slots=True)
class Rows:
    """Which rows of a table: a condition, and a half-open window of a date or time column."""

    where: str = ""
    by: str = "date"
    since: str = ""
    until: str = ""

    def condition(self, columns: Sequence[str]) -> str:
        """Return the SQL; raises UserError when it names columns that are not there."""
        known = {name: sql.name(name) for name in columns}
        parts = [f"({sql.condition(self.where, known, where='where')})"] if self.where else []
        if (self.since or self.until) and self.by not in columns:
            raise UserError(
                f"since, until: no column {self.by!r} to go by; {nearest(self.by, list(columns))}",
                code="column-unknown",
            )
        moment = f"CAST({sql.name(self.by)} AS TIMESTAMPTZ)"
        for sign, end in ((">=", self.since), ("<", self.until)):
            if end:
                parts.append(f"{moment} {sign} CAST({sql.literal(end)} AS TIMESTAMPTZ)")
        return " AND ".join(parts) or "true"


def profile(
    files: DataFiles,
    names: Sequence[str],
    *,
    reference: Profile | None = None,
    rows: Rows | None = None,
) -> Profile:
    """Profile columns of a table, in the shape of a reference if one is given.

    Args:
        files: the table's data files.
        names: columns, or keys of the JSON in `features`; empty: the reference's.
        reference: fixes bins and levels; None: they are chosen from these rows.
        rows: which rows; None: all.
    """
    wanted = list(names or (reference.columns if reference else []))
    if not wanted:
        raise UserError(
            "profile: no columns are named; name some, or give a reference",
            code="profile-without-columns",
        )
    condition = (rows or Rows()).condition(files.schema.names)
    with engine.opened([files]) as connection:
        source = f"{files.duckdb_source()} WHERE {condition}"
        view = _view(connection, files, wanted, reference, source)
        shape = _shape(reference, wanted) if reference else _sampled(connection, view, wanted)
        return _counted(connection, view, shape)


def _shape(reference: Profile, wanted: Sequence[str]) -> Profile:
    for name in wanted:
        if name not in reference.columns:
            known = nearest(name, list(reference.columns))
            raise UserError(
                f"profile: the reference has no column {name!r}; {known}", code="column-unknown"
            )
    return Profile({name: reference.columns[name].blank() for name in wanted})


def _view(
    connection: "duckdb.DuckDBPyConnection",
    files: DataFiles,
    wanted: Sequence[str],
    reference: Profile | None,
    source: str,
) -> str:
    """Return a SELECT of the wanted columns, those out of JSON in the type they should have."""
    keys = [name for name in wanted if name not in files.schema.names]
    parsed = _parsed(files, keys, source) if keys else source
    listed = [
        _from_json(connection, _Json(name, keys.index(name)), reference, parsed)
        if name in keys
        else sql.name(name)
        for name in wanted
    ]
    return f"SELECT {', '.join(listed)} FROM {parsed}"  # noqa: S608 - names are quoted


def _parsed(files: DataFiles, keys: Sequence[str], source: str) -> str:
    """Return rows with the texts of all keys in one list: each JSON is parsed once."""
    if _FEATURES not in files.schema.names:
        known = nearest(keys[0], files.schema.names)
        raise UserError(
            f"profile: table {files.ref} has no column {keys[0]!r}; {known}", code="column-unknown"
        )
    paths = ", ".join(_path(key) for key in keys)
    texts = f"json_extract_string({sql.name(_FEATURES)}, [{paths}]) AS {_TEXTS}"
    return f"(SELECT *, {texts} FROM {source})"  # noqa: S608 - paths are quoted


def _from_json(
    connection: "duckdb.DuckDBPyConnection",
    json: "_Json",
    reference: Profile | None,
    parsed: str,
) -> str:
    if reference is not None and json.key in reference.columns:
        numeric = isinstance(reference.columns[json.key], Numeric)
    else:
        numeric = _all_numbers(connection, json, f"FROM {parsed}")
    return f"{json.number if numeric else json.level} AS {sql.name(json.key)}"


def _path(key: str) -> str:
    return sql.literal(f"$.{sql.name(key)}")


@dataclass(frozen=True, slots=True)
class _Json:
    """SQL of one key of the JSON in `features`."""

    key: str
    place: int  # among the keys that are parsed

    @property
    def text(self) -> str:
        return f"{_TEXTS}[{self.place + 1}]"

    @property
    def number(self) -> str:
        return f"TRY_CAST({self.text} AS DOUBLE)"

    @property
    def is_number(self) -> str:
        kind = f"json_type({sql.name(_FEATURES)}, {_path(self.key)})"
        return f"{kind} IN ('BIGINT', 'UBIGINT', 'DOUBLE')"

    @property
    def level(self) -> str:
        """The text of the value; 3 and 3.0 are one level, as in `columns.level_counts`."""
        whole = f"CAST(CAST({self.number} AS BIGINT) AS VARCHAR)"
        is_whole = f"{self.is_number} AND {self.number} = trunc({self.number})"
        return f"CASE WHEN {is_whole} THEN {whole} ELSE {self.text} END"


def _all_numbers(connection: "duckdb.DuckDBPyConnection", json: _Json, source: str) -> bool:
    counts = f"count({json.text}), count(*) FILTER (WHERE {json.is_number})"
    texts, numbers = connection.execute(f"SELECT {counts} {source}").fetchall()[0]
    if not texts:
        raise UserError(
            f"profile: no row has a feature {json.key!r}; is it spelt so?", code="column-unknown"
        )
    return bool(texts == numbers)


def _sampled(connection: "duckdb.DuckDBPyConnection", view: str, wanted: Sequence[str]) -> Profile:
    """Choose the shape from at most a million rows, evenly spread."""
    import pyarrow as pa

    counted = f"SELECT count(*) FROM ({view})"  # noqa: S608
    total = connection.execute(counted).fetchall()[0][0]
    if not total:
        raise UserError(
            "profile: no rows to learn bins from; widen the window or the condition", code="no-rows"
        )
    with engine.streamed(connection, f"{view} ORDER BY ALL") as stream:
        sample = pa.Table.from_batches(_every(-(-total // _SAMPLE_ROWS), stream), stream.schema)
    return Profile.shaped(sample, wanted)


def _every(step: int, stream: "pa.RecordBatchReader") -> Iterator["pa.RecordBatch"]:
    """Yield each step-th row."""
    before = 0
    for batch in stream:
        yield batch.take(np.arange(-before % step, batch.num_rows, step))
        before += batch.num_rows


def _counted(connection: "duckdb.DuckDBPyConnection", view: str, shape: Profile) -> Profile:
    with engine.streamed(connection, f"{view} ORDER BY ALL") as stream:
        for batch in stream:
            shape = shape.update(batch)
    return shape
