"""A SQL source that is not as expected."""

import pathlib
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from components.ingestion.ingest_sql.component import ingest_sql
from tests.bad_input.said import NUMBER, PLANTED, Fails, check


@pytest.fixture
def orders(tmp_path: pathlib.Path) -> Callable[[str, object], str]:
    """Make a SQLite table of one order; return its address."""

    def make(kind: str, value: object) -> str:
        with closing(sqlite3.connect(tmp_path / "shop.db")) as connection, connection:
            connection.execute("DROP TABLE IF EXISTS orders")
            connection.execute(f"CREATE TABLE orders (seq INTEGER PRIMARY KEY, who {kind})")
            connection.execute("INSERT INTO orders VALUES (1, ?)", [value])
        return f"sqlite:///{tmp_path}/shop.db"

    return make


def test_a_missing_sql_table(fails: Fails, orders: Any, target: str) -> None:
    url = orders("TEXT", PLANTED)

    said = fails(ingest_sql, connection=url, table="order", target=target, key="seq")

    check(said, "source-table-missing", "no table 'order'", "did you mean 'orders'?")


def test_an_empty_sql_source(
    fails: Fails, orders: Any, target: str, tmp_path: pathlib.Path
) -> None:
    url = orders("TEXT", PLANTED)
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection, connection:
        connection.execute("DELETE FROM orders")

    said = fails(ingest_sql, connection=url, table="orders", target=target, key="seq")

    check(said, "source-empty", "is empty", "fill the source")


def test_a_value_that_is_not_of_its_column(fails: Fails, orders: Any, target: str) -> None:
    url = orders("INTEGER", PLANTED)

    said = fails(ingest_sql, connection=url, table="orders", target=target, key="seq")

    check(said, "value-of-another-type", "column 'who': row 1 read is str", "expected int64")


def test_a_sql_column_that_changed_its_type(fails: Fails, orders: Any, target: str) -> None:
    ingest_sql.python_func(
        connection=orders("INTEGER", 5), table="orders", target=target, key="seq"
    )
    url = orders("TEXT", PLANTED)
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("UPDATE orders SET seq = 2")

    said = fails(ingest_sql, connection=url, table="orders", target=target, key="seq")

    check(said, "source-type-changed", "column 'who'", "restore the source's type")


def test_rows_that_share_a_key(fails: Fails, orders: Any, target: str) -> None:
    url = orders("INTEGER", NUMBER)
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
        connection.executemany("INSERT INTO orders VALUES (?, ?)", [(2, NUMBER), (3, NUMBER)])

    said = fails(ingest_sql, connection=url, table="orders", target=target, key="who", chunk_rows=1)

    check(said, "key-not-unique", "more than 1 rows share one who")
