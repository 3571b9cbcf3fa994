"""Predictions joined with the labels that came later.

A prediction counts once, by its id (the first), and so does a label (the newest known); a
prediction without a label stays, because how many there are is part of every number.
"""

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.foundation import engine, sql
from components.foundation.choice import chosen
from components.foundation.errors import UserError, nearest
from components.foundation.tables import DataFiles

_ONE = "SELECT score, label, part FROM joined WHERE name = ? ORDER BY moment, id"
_OBSERVED, _LABELLED = ("id", "time", "score"), ("id", "label", "known_at")


class By(enum.StrEnum):
    """How long a window is; rows of one `part` of it vary together (the weather of a day)."""

    MONTH = "month"
    DAY = "day"

    @classmethod
    def parse(cls, text: str) -> "By":
        return chosen(text, cls, setting="by")

    @property
    def part(self) -> str:
        return "day" if self is By.MONTH else "hour"

    @property
    def pattern(self) -> str:
        return "%Y-%m" if self is By.MONTH else "%Y-%m-%d"


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one window: scores, labels (NaN: none yet), and which rows vary together."""

    name: str
    scores: NDArray[np.float64]
    labels: NDArray[np.float64]
    parts: NDArray[np.int64]


def windows(
    observations: DataFiles, labels: DataFiles, *, by: By, since: str = "", until: str = ""
) -> Iterator[Rows]:
    """Yield the rows of each window that has predictions, in order of time.

    Raises:
        UserError: a table lacks a column, or an end is no time.
    """
    _has(observations, _OBSERVED)
    _has(labels, _LABELLED)
    with engine.opened([observations, labels]) as connection:
        joined = _query(observations, labels, by, since, until)
        connection.execute(f"CREATE TEMP TABLE joined AS {joined}")
        names = connection.execute("SELECT DISTINCT name FROM joined ORDER BY name").fetchall()
        for (name,) in names:
            rows = connection.sql(_ONE, params=[name]).to_arrow_table()
            yield Rows(name, *(rows[c].to_numpy() for c in ("score", "label", "part")))


def _query(observations: DataFiles, labels: DataFiles, by: By, since: str, until: str) -> str:
    """Write the join: each id once on both sides, every prediction kept."""
    moment = 'CAST("time" AS TIMESTAMPTZ)'
    inside = [
        f"{moment} {sign} CAST({sql.literal(end)} AS TIMESTAMPTZ)"
        for sign, end in ((">=", since), ("<", until))
        if end
    ]
    predicted = (
        f"SELECT CAST(id AS VARCHAR) AS id, {moment} AS moment, score "  # noqa: S608
        f"FROM {observations.duckdb_source()} WHERE {' AND '.join(inside) or 'true'} "
        "QUALIFY row_number() OVER (PARTITION BY id ORDER BY moment, score) = 1"
    )
    known = (
        f"SELECT CAST(id AS VARCHAR) AS id, label FROM {labels.duckdb_source()} "  # noqa: S608
        "QUALIFY row_number() OVER (PARTITION BY id ORDER BY known_at DESC, label) = 1"
    )
    return (
        f"SELECT strftime(moment, '{by.pattern}') AS name, moment, id, "  # noqa: S608 - quoted above
        f"CAST(epoch(date_trunc('{by.part}', moment)) AS BIGINT) AS part, "
        "coalesce(CAST(score AS DOUBLE), 'nan') AS score, "
        "coalesce(CAST(label AS DOUBLE), 'nan') AS label "
        f"FROM ({predicted}) LEFT JOIN ({known}) USING (id)"
    )


def _has(files: DataFiles, columns: Sequence[str]) -> None:
    for name in columns:
        if name not in files.schema.names:
            known = nearest(name, files.schema.names)
            raise UserError(
                f"performance: table {files.ref} has no column {name!r}; {known}",
                code="column-unknown",
            )
