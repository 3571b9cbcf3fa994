"""A real PostgreSQL: rows arrive once, and its failures are said."""

from typing import Any

import pyarrow as pa
import pytest

from components.foundation.tables import TableRef, Tables
from components.ingestion.ingest_sql import keyset
from components.ingestion.ingest_sql.component import ingest_sql
from tests.bad_input import postgres
from tests.bad_input.said import PLANTED, Fails, check


@pytest.fixture
def sold(
    database: postgres.Postgres, unique: str, monkeypatch: pytest.MonkeyPatch, target: str
) -> dict[str, Any]:
    """A table in PostgreSQL, as the arguments that ingest it."""
    database.run(
        f"CREATE TABLE {unique} (seq bigint PRIMARY KEY, name text, price numeric(9, 2))",
        f"INSERT INTO {unique} SELECT g, '{PLANTED}', g / 2.0 FROM generate_series(1, 5) g",
        f"GRANT SELECT ON {unique} TO reader",
    )
    monkeypatch.setenv("SHOP_PASSWORD", postgres.PASSWORD)
    return {
        "connection": database.url,
        "table": unique,
        "target": target,
        "key": "seq",
        "chunk_rows": 2,
        "password_env": "SHOP_PASSWORD",
    }


@pytest.mark.usefixtures("environment")
def test_postgresql_is_read_exactly_once(
    sold: dict[str, Any], database: postgres.Postgres, tables: Tables
) -> None:
    _, first, _ = ingest_sql.python_func(**sold)
    database.run(f"INSERT INTO {sold['table']} VALUES (6, 'x', 1)")

    table, rows, total = ingest_sql.python_func(**sold)

    assert (first, rows, total) == (5, 1, 6)
    ref = TableRef.parse(table)
    assert tables.read(ref)["seq"].sort().to_pylist() == [1, 2, 3, 4, 5, 6]
    assert tables.schema(ref).field("price").type == pa.decimal128(9, 2)


def test_a_wrong_password(
    fails: Fails, sold: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", "not-the-password")

    said = fails(ingest_sql, **sold)

    check(said, "database-denied", "refused our credentials", "password_env")
    assert "not-the-password" not in said.everywhere


def test_a_table_that_postgresql_lacks(fails: Fails, sold: dict[str, Any]) -> None:
    said = fails(ingest_sql, **{**sold, "table": f"{sold['table']}x"})

    check(said, "source-table-missing", f"did you mean '{sold['table']}'?")


def test_a_view_that_cannot_convert_a_row(
    fails: Fails, sold: dict[str, Any], database: postgres.Postgres
) -> None:
    view = f"{sold['table']}_v"
    database.run(
        f"CREATE VIEW {view} AS SELECT seq, name::int AS age FROM {sold['table']}",
        f"GRANT SELECT ON {view} TO reader",
    )

    said = fails(ingest_sql, **{**sold, "table": view})

    check(said, "database-failed", "a value of a row, 22P02")


def test_a_server_that_goes_in_the_middle_keeps_what_was_committed(
    fails: Fails,
    sold: dict[str, Any],
    database: postgres.Postgres,
    tables: Tables,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fetch, calls = keyset.Keyset._fetch, []

    def gone(self: keyset.Keyset, after: int | None, size: int) -> Any:
        calls.append(after)
        if len(calls) == 2:
            self.engine.dispose()
            database.run("ALTER ROLE reader NOLOGIN")
        return fetch(self, after, size)

    with monkeypatch.context() as patch:
        patch.setattr(keyset.Keyset, "_fetch", gone)
        said = fails(ingest_sql, leaves=True, **sold)
    database.run("ALTER ROLE reader LOGIN")
    table, rows, total = ingest_sql.python_func(**sold)

    check(said, "database-failed", "run again")
    assert (rows, total) == (3, 5)
    assert tables.read(TableRef.parse(table))["seq"].sort().to_pylist() == [1, 2, 3, 4, 5]


def test_a_server_that_is_stopped(fails: Fails, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", postgres.PASSWORD)
    with postgres.running() as server:
        url = server.url

    said = fails(
        ingest_sql, connection=url, table="t", target="s3://falaj-raw/t", key="seq",
        password_env="SHOP_PASSWORD",
    )  # fmt: skip

    check(said, "database-failed", "run again")
