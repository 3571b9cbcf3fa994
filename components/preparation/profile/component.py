"""Describe what columns of a table hold: counts of bins and of frequent levels, no raw values.

Reads: a table, and the profile of a reference if one is given. Writes: a profile (JSON, protocol
4.4), additive, about 2 kB a column.
Needs: the object store; DuckDB's memory limit of 1 GB.
Fails when: a column is neither in the table nor in its `features`, the reference lacks it, or no
row is left to learn bins from (exit 2).
"""

from typing import Optional

from kfp import dsl

from components.face import component


@component("data")
def profile(
    table: str,
    columns: list,
    out: dsl.Output[dsl.Artifact],
    reference: Optional[dsl.Input[dsl.Artifact]] = None,
    where: str = "",
    by: str = "date",
    since: str = "",
    until: str = "",
) -> int:
    """Describe columns of a table by counts that add up; bins are the reference's.

    Args:
        table: reference of the table, e.g. s3://falaj-features/training@latest.
        columns: columns, or features inside the JSON column `features`; empty: the reference's.
        out: the profile, JSON.
        reference: a profile whose bins and levels are kept; none: they are chosen from these rows.
        where: condition on rows in DuckDB's SQL, e.g. variant = 'champion'; empty: all.
        by: date or time column that since and until speak of.
        since: start of the window, inclusive, RFC 3339 or YYYY-MM-DD; empty: open.
        until: end of the window, exclusive; empty: open.

    Returns:
        How many rows were counted.
    """
    import pathlib

    from components.preparation.profile import observed
    from components.preparation.profile.profile import Profile
    from components.step import step

    with step("profile") as here:
        files = here.tables.files(here.reads(table), here.cache)
        fixed = Profile.read(pathlib.Path(reference.path)) if reference else None
        rows = observed.Rows(where, by, since, until)
        made = observed.profile(files, columns, reference=fixed, rows=rows)
        made.write(pathlib.Path(out.path))
        here.describe(out, rows=made.rows, columns=len(made.columns), table=str(files.ref))
        return made.rows
