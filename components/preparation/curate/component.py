"""Make a curated table from raw ones: contracts set bad rows aside, one SELECT does the rest.

Reads: tables. Writes: the target table, and `s3://falaj-quarantine/<alias>` with the bad rows of
each table that has a contract, with the rule each broke. The same work again writes nothing.
Needs: the object store; memory as `memory_limit_mb` says (the whole process keeps it), disk to
spill to.
Fails when: the SQL is not one SELECT over the given tables, or does not fit them (exit 2); the
work does not fit the memory limit even with spilling (exit 2); another writer won (exit 75).
"""

from typing import NamedTuple

from kfp import dsl  # noqa: F401 - kfp resolves the names of a signature in this module

from components.face import component


@component("data")
def curate(
    tables: dict,
    sql: str,
    target: str,
    contracts: dict = {},  # noqa: B006 - kfp takes defaults from the signature; never changed
    memory_limit_mb: int = 1024,
) -> NamedTuple(
    "Outputs", [("table", str), ("rows_in", int), ("rows_out", int), ("quarantined", dict)]
):
    """Make a curated table with one SELECT; set aside the rows that break a contract.

    Args:
        tables: alias used in the SQL -> reference, e.g. {"flights": "s3://falaj-raw/flights@7"}.
        sql: one SELECT in DuckDB's SQL over the aliases.
        target: the table to write, e.g. s3://falaj-curated/flights.
        contracts: alias -> contract's YAML text; rows that break an error rule go to quarantine.
        memory_limit_mb: memory that the whole process may use, MB; beyond it DuckDB spills.

    Returns:
        table: reference of the table made, pinned.
        rows_in: rows read, of all tables.
        rows_out: rows of the table made.
        quarantined: "alias: rule" -> rows set aside.
    """
    from components.foundation.engine import Limits
    from components.foundation.tables import TableRef
    from components.preparation.curate import curation
    from components.step import step

    with step("curate") as here:
        inputs = {alias: here.reads(text) for alias, text in tables.items()}
        limits = Limits(memory_limit_mb)
        order = curation.Order(inputs, sql, TableRef.unversioned(target), contracts, limits)
        done = curation.work(order, here.tables, here.cache)
        for ref in done.quarantines.values():
            here.writes(ref)
        counts = (done.rows_in, done.rows_out, dict(done.quarantined))
        return (here.writes(done.table), *counts)
