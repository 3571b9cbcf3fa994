"""Grow a raw table from a paged REST collection, by an integer cursor.

Reads: JSON pages over HTTP, behind the cursor committed last.
Writes: one Delta table; the rows and the greatest cursor commit together, once a run.
Needs: a route to the service; all new rows of a run fit in memory.
Fails when: the service refuses us, answers with something else than rows (no retry), stays
busy or silent beyond the waiting budget (retry later), or has never had a row.
"""

from typing import NamedTuple

from components.face import component


@component("data")
def ingest_rest(
    url: str,
    target: str,
    pagination: str = "page",
    items: str = "items",
    cursor: str = "id",
    since: str = "since",
    page_name: str = "page",
    budget_seconds: int = 60,
    token_env: str = "",
) -> NamedTuple("Outputs", [("table", str), ("rows", int), ("total", int)]):
    """Append a REST collection's new rows to a raw table, exactly once.

    Args:
        url: address of the collection, e.g. "https://weather.example/observations".
        target: raw table to grow, without a version, e.g. "s3://falaj-raw/weather".
        pagination: "page" (numbers from 1), "token" (the answer carries the next one) or "link"
            (a Link header names the next page).
        items: field of the answer that holds the rows, dotted; empty when the answer is the list.
        cursor: field of a row that only grows: an integer id, or microseconds since 1970.
        since: query parameter that asks for rows behind a cursor.
        page_name: query parameter of the page number, or field and parameter of the token.
        budget_seconds: how long to wait, in all, for a service that is busy (429, 5xx) or silent.
        token_env: environment variable that holds a bearer token; none when empty.

    Returns:
        table: the raw table, pinned to the version this run leaves.
        rows: rows that were new.
        total: rows in the table.
    """
    from components.ingestion import secret
    from components.ingestion.commit import Landing
    from components.ingestion.ingest_rest import collection
    from components.ingestion.ingest_rest.client import Budget, Client
    from components.ingestion.ingest_rest.pagination import Pagination
    from components.step import step

    with step("ingest_rest") as here:
        paged = Pagination.parse(pagination)
        source = collection.Collection(url, paged, page_name, cursor, since)
        here.uses(source.uri)
        token = secret.read(here.environment, token_env)
        client = Client.open(token=token, budget=Budget(budget_seconds), items=items)
        landed = collection.ingest(Landing.open(here.tables, target), source, client)
        return (here.writes(landed.table), landed.rows, landed.total)
