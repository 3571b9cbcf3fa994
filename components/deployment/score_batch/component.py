"""Score a table of rows with a verified release, through the endpoint's runtime.

Reads: a table of rows (features, an id, an event time); a sealed release, or the champion
    channel when none is named.
Writes: observations, one a row, with variant "batch", partitioned by date. The same rows
    and release again write nothing; newer rows replace exactly their dates.
Needs: FALAJ_KEYS to verify and decrypt; the object store.
Fails when: the release is not as it was signed (refused), a feature is missing, ids are not
    unique, or there are no rows.
"""

from typing import NamedTuple

from components.face import component


@component("release")
def score_batch(
    rows: str,
    target: str,
    model_name: str,
    id_column: str,
    time_column: str,
    release: str = "",
    batch_rows: int = 65536,
) -> NamedTuple("Outputs", [("table", str), ("rows", int), ("version", str)]):
    """Score every row of a table with a sealed release and keep what was observed.

    Args:
        rows: reference of the rows, e.g. s3://falaj-features/delays/scoring@3.
        target: observations table, e.g. s3://falaj-curated/observations/delays.
        model_name: name of the model, e.g. "delays".
        id_column: names each row; labels join by it.
        time_column: when the row's event happens; its date is the observation's.
        release: sealed+s3://falaj-models/MODEL/VERSION; empty: the champion channel's.
        batch_rows: rows that are scored and held in memory at once.

    Returns:
        The observations table, how many rows were scored, and the release's version.
    """
    from components.deployment import releases
    from components.deployment.score_batch.scoring import Order, score
    from components.foundation.tables import TableRef
    from components.step import step

    with step("score_batch") as here:
        named = releases.chosen(
            release, model=model_name, channel="champion", store=here.store, keys=lambda: here.keys
        )
        here.uses(named)
        source, into = here.reads(rows), TableRef.unversioned(target)
        order = Order(source, into, named, id_column, time_column, batch_rows)
        table, count = score(order, here.tables, here.store, here.keys, cache=here.cache)
        return (here.writes(table), count, named.version)
