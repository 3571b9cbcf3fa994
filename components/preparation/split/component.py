"""Divide a table into training, validation and test rows, by time or by the hash of a key.

Reads: a table. Writes: `<target>-train`, `<target>-validation`, `<target>-test`; the same work
again writes nothing.
Needs: the object store; DuckDB's memory limit of 1 GB.
Fails when: the column is missing or has NULLs, or a part would be empty (exit 2).
"""

from typing import NamedTuple

from kfp import dsl  # noqa: F401 - kfp resolves the names of a signature in this module

from components.face import component


@component("data")
def split(
    table: str,
    target: str,
    column: str,
    boundaries: list = [],  # noqa: B006 - kfp takes defaults from the signature; never changed
    fractions: list = [],  # noqa: B006
) -> NamedTuple("Outputs", [("train", str), ("validation", str), ("test", str), ("rows", dict)]):
    """Divide a table into training, validation and test rows; each row goes to exactly one.

    Args:
        table: reference of the table, e.g. s3://falaj-features/delays/training@latest.
        target: prefix of the three tables, e.g. s3://falaj-features/delays.
        column: the time, for boundaries; or the key, for fractions.
        boundaries: two times, RFC 3339: before the first is train, from the second on is test.
        fractions: shares of train, validation and test by the hash of the key; add up to 1.

    Returns:
        train: reference of the training rows.
        validation: reference of the validation rows.
        test: reference of the test rows.
        rows: rows of each part.
    """
    from components.foundation.tables import TableRef
    from components.preparation.split import parts
    from components.step import step

    with step("split") as here:
        rule = parts.Rule.parse(column, boundaries, fractions)
        files = here.tables.files(here.reads(table), here.cache)
        made = parts.divide(files, rule, target=TableRef.unversioned(target), tables=here.tables)
        rows = {part: here.tables.rows(ref) for part, ref in made.items()}
        return (*(here.writes(made[part]) for part in parts.NAMES), rows)
