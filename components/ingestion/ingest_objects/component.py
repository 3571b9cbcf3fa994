"""Grow a raw table from objects: CSV, Parquet or JSON lines under a glob.

Reads: the objects that are new or changed since the last run.
Writes: one Delta table with a column `_object` that names each row's object, and torn lines to
`s3://falaj-quarantine/torn/<name>`; a batch of objects and what they held commit together.
Needs: nothing beyond the object store.
Fails when: no object matches, one cannot be read as the format says, or a column changed its
type. Lines with too few or too many fields do not fail it; they are counted.
"""

from typing import NamedTuple

from components.face import component


@component("data")
def ingest_objects(
    source: str,
    target: str,
    format: str = "csv",
) -> NamedTuple("Outputs", [("table", str), ("rows", int), ("total", int), ("torn", int)]):
    """Bring a raw table up to date with objects, reading only new or changed ones.

    Args:
        source: glob of the objects, e.g. "s3://falaj-raw/landing/planes/*.csv".
        target: raw table to grow, without a version, e.g. "s3://falaj-raw/planes".
        format: "csv" (every column is read as text), "parquet" or "jsonl".

    Returns:
        table: the raw table, pinned to the version this run leaves.
        rows: rows of the objects that were new or changed.
        total: rows in the table.
        torn: lines of all matching objects that lie in quarantine.
    """
    from components.ingestion.ingest_objects import landing
    from components.ingestion.ingest_objects.formats import Format
    from components.step import step

    with step("ingest_objects") as here:
        here.uses(source)
        done = landing.ingest(
            here.store, here.tables, pattern=source, target=target, format=Format.parse(format)
        )
        table = here.writes(done.landed.table)
        return (table, done.landed.rows, done.landed.total, done.torn)
