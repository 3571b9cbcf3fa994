"""Bad input, through each step's face: one sentence, the exit code, the error code, nothing moved.

Where a row is at fault its values must not get into messages, logs, lineage or the audit log:
every case plants PLANTED in the data and looks for it everywhere.
"""

import json
import pathlib
import resource
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from kfp import dsl

from components.foundation import error_catalogue
from components.foundation.sealing import channel, release
from components.foundation.sealing.keys import KeyRing
from components.foundation.storage import Address, ObjectStore
from components.foundation.tables import TableRef, Tables
from components.ingestion.ingest_objects import landing
from components.ingestion.ingest_objects.component import ingest_objects
from components.ingestion.ingest_rest.component import ingest_rest
from components.ingestion.ingest_sql import keyset
from components.ingestion.ingest_sql.component import ingest_sql
from components.preparation.curate.component import curate
from components.preparation.validate.component import validate
from components.release.open_profile.component import open_profile
from pipelines.__main__ import main
from tests.bad_input import postgres, service
from tests.bad_input.conftest import Fails, Said

PLANTED = "Maryam-784-1990"
NUMBER = 784199012345678901  # as an identity number in a column of integers
EXITS = {"user": 2, "refused": 3, "infrastructure": 75}
CONTRACT = """
name: people
version: 1
columns:
  - {name: id, type: int64}
  - {name: name, type: string}
"""


def check(said: Said, code: str, *words: str) -> None:
    """Hold what was said to its code, its exit code and its words, and to no value of a row."""
    assert said.code == code, said.message
    assert said.exit_code == EXITS[error_catalogue.entry(code).kind]
    for word in words:
        assert word in said.message
    for planted in (PLANTED, str(NUMBER)):
        assert planted not in said.everywhere


@pytest.fixture
def people(tables: Tables, unique: str) -> str:
    """A raw table with a person in it."""
    rows = pa.table({"id": [1, NUMBER], "name": ["x", PLANTED]})
    return str(tables.replace(TableRef("falaj-raw", unique), rows))


@pytest.fixture
def target(unique: str) -> str:
    return f"s3://falaj-curated/{unique}"


# SQL sources


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


# A real PostgreSQL


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


# REST sources

ROW = json.dumps({"items": [{"id": PLANTED, "name": NUMBER}]}).encode()
MIXED = json.dumps({"items": [{"id": 1, "n": 1}, {"id": 2, "n": PLANTED}]}).encode()
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("answer", "code", "said_of_it"),
    [
        ((429, ROW, {"Retry-After": "600"}), "rest-unavailable", "asks to wait 600 s"),
        ((503, ROW, {}), "rest-unavailable", "answers 503"),
        (
            (200, PLANTED.encode(), {"Content-Type": "text/html"}),
            "rest-body",
            "text/html, 15 bytes",
        ),
        ((200, json.dumps({"error": PLANTED}).encode(), JSON), "rest-body", "object with 'error'"),
        ((200, json.dumps([PLANTED]).encode(), JSON), "rest-body", "a list of str"),
        ((404, PLANTED.encode(), JSON), "rest-refused", "answers 404 (application/json, 15 bytes)"),
        ((401, PLANTED.encode(), JSON), "rest-denied", "token_env"),
        ((200, ROW, JSON), "cursor-not-integer", "cursor 'id' is str"),
        ((200, MIXED, JSON), "source-types-differ", "field 'n' mixes types (int, str)"),
    ],
    ids=["429", "503", "garbage", "error", "list", "404", "401", "cursor", "mixed"],
)
def test_a_service_that_misbehaves(
    fails: Fails, target: str, answer: tuple[int, bytes, Mapping[str, str]], code: str,
    said_of_it: str,
) -> None:  # fmt: skip
    with service.answering(*answer) as url:
        said = fails(ingest_rest, url=url, target=target, budget_seconds=0, pagination="token")

    check(said, code, said_of_it)


def test_a_service_that_is_cut_in_the_middle(fails: Fails, target: str) -> None:
    with service.answering(200, ROW, JSON, cut=100) as url:
        said = fails(ingest_rest, url=url, target=target, budget_seconds=0)

    check(said, "rest-unavailable", "no answer", "raise budget_seconds")


# Objects and the store


def test_an_object_that_vanishes_between_listing_and_reading(
    fails: Fails, store: ObjectStore, unique: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Address("falaj-runs", f"{unique}/a.csv")
    store.put(here, f"id,name\n1,{PLANTED}\n".encode())
    listed = landing.news

    def then_gone(*arguments: Any) -> Any:
        found = listed(*arguments)
        store.delete(here)
        return found

    monkeypatch.setattr(landing, "news", then_gone)

    said = fails(ingest_objects, source=f"s3://falaj-runs/{unique}/*.csv", target=target)

    check(said, "object-vanished", str(here), "nothing of its batch was committed")


@pytest.mark.parametrize(
    ("data", "format"),
    [
        (f"id,name\n1,{PLANTED}\n".encode(), "parquet"),
        (f"id,{PLANTED}\xff\n".encode("latin-1"), "csv"),
        (json.dumps({"id": 1}).encode() + b"\n" + json.dumps({"id": PLANTED}).encode(), "jsonl"),
    ],
    ids=["parquet", "encoding", "types"],
)
def test_an_object_that_is_not_of_its_format(
    fails: Fails, store: ObjectStore, unique: str, target: str, data: bytes, format: str
) -> None:
    store.put(Address("falaj-runs", f"{unique}/a.{format}"), data)

    said = fails(ingest_objects, source=f"s3://falaj-runs/{unique}/*", target=target, format=format)

    check(said, "object-unreadable", "correct or remove the object")


def test_wrong_credentials_of_the_object_store(
    fails: Fails, people: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")

    said = fails(curate, tables={"people": people}, sql="SELECT * FROM people", target=target)

    check(said, "object-store-denied", "AWS_SECRET_ACCESS_KEY")
    assert "not-the-secret" not in said.everywhere


def test_a_bucket_that_is_not_there(fails: Fails, people: str) -> None:
    said = fails(
        curate,
        tables={"people": people},
        sql="SELECT * FROM people",
        target="s3://no-such-bucket/people",
    )

    assert said.exit_code in (2, 75), said.message
    assert "no-such-bucket" in said.message


def test_a_table_that_is_not_there(fails: Fails, unique: str, target: str) -> None:
    missing = f"s3://falaj-raw/{unique}-x@latest"

    said = fails(curate, tables={"t": missing}, sql="SELECT * FROM t", target=target)

    check(said, "table-missing", "upstream")


# Contracts and SQL


@pytest.mark.parametrize(
    ("contract", "code", "hint"),
    [
        (CONTRACT + "  - {name: nmae, type: string}\n", "contract-column-missing", "'name'?"),
        (
            CONTRACT + "keys:\n  - columns: [idd]\n",
            "contract-column-undeclared",
            "did you mean 'id'?",
        ),
        (
            CONTRACT.replace("type: string", "type: string, rules: [{patern: x}]"),
            "contract-name-unknown",
            "patern",
        ),
        (CONTRACT.replace("type: string", "typ: string"), "contract-name-unknown", "'type'?"),
        ("[", "contract-malformed", "no YAML"),
    ],
    ids=["column", "key", "rule", "field", "yaml"],
)
def test_a_contract_that_is_wrong(
    fails: Fails, people: str, tmp_path: pathlib.Path, contract: str, code: str, hint: str
) -> None:
    report = dsl.HTML(uri=str(tmp_path / "report.html"))

    said = fails(validate, table=people, contract=contract, report=report)

    check(said, code, hint)


@pytest.mark.parametrize(
    ("sql", "code", "hint"),
    [
        ("SELECT * FROM read_csv('/etc/hosts')", "sql-undeclared-table", "it may read only"),
        ("SELECT * FROM falaj_other", "sql-undeclared-table", "declare every table"),
        ("DROP TABLE people", "sql-not-one-select", "expected one SELECT"),
        ("SELECT FROM WHERE", "sql-syntax", "does not parse"),
        ("SELECT now() AS at FROM people", "sql-not-repeatable", "the run's as_of"),
        ("SELECT * FROM people ORDER BY random()", "sql-not-repeatable", "hash(key)"),
        ("SELECT nme FROM people", "sql-failed", '"name"'),
        ("SELECT CAST(name AS INTEGER) AS n FROM people", "sql-failed", "TRY_CAST"),
        ("SELECT CAST(id AS TINYINT) AS n FROM people", "sql-failed", "on the rows"),
        ("SELECT error(name) AS n FROM people", "sql-failed", "on the rows"),
        ("SELECT CAST(name AS DATE) AS n FROM people", "sql-failed", "on the rows"),
    ],
    ids=[
        "file", "table", "statement", "syntax", "clock", "random", "column", "cast", "range",
        "error", "date",
    ],
)  # fmt: skip
def test_sql_that_is_wrong(
    fails: Fails, people: str, target: str, sql: str, code: str, hint: str
) -> None:
    said = fails(curate, tables={"people": people}, sql=sql, target=target)

    check(said, code, hint)


def test_a_memory_limit_that_is_reached(fails: Fails, people: str, target: str) -> None:
    sql = "SELECT string_agg(repeat('x', 1000), '') AS t FROM people, generate_series(400000)"

    said = fails(curate, tables={"people": people}, sql=sql, target=target, memory_limit_mb=512)

    check(said, "memory-limit-reached", "raise memory_limit_mb")


def test_a_memory_limit_too_small_to_begin(fails: Fails, people: str, target: str) -> None:
    sql = "SELECT * FROM people"

    said = fails(curate, tables={"people": people}, sql=sql, target=target, memory_limit_mb=1)

    check(said, "memory-limit-too-small", "expected at least")


def test_a_disk_that_is_full(fails: Fails, tables: Tables, unique: str, target: str) -> None:
    """The table's file does not fit into the cache: a file may grow to 64 KiB only."""
    numbers = np.random.default_rng(1).integers(0, 1 << 60, 50_000).tolist()
    large = str(tables.replace(TableRef("falaj-raw", unique), pa.table({"id": numbers})))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
    try:
        said = fails(curate, tables={"t": large}, sql="SELECT * FROM t", target=target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    check(said, "disk-full", "larger volume")


# Releases and keys


@pytest.fixture
def sealed(
    store: ObjectStore, tmp_path: pathlib.Path, unique: str, monkeypatch: pytest.MonkeyPatch
) -> str:
    """A release that a channel points at, with a profile in it."""
    keys = KeyRing.create(tmp_path / "keys")
    monkeypatch.setenv("FALAJ_KEYS", str(tmp_path / "keys"))
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "profile.json").write_text(json.dumps({"columns": [], "told": "x" * 100}))
    uri = release.seal(folder, model=unique, facts={}, store=store, keys=keys).uri
    channel.move(unique, uri, store=store, keys=keys, reason="first")
    return uri


def opened(fails: Fails, uri: str, folder: pathlib.Path) -> Said:
    profile = dsl.Artifact(uri=str(folder / "out/profile"))
    said = fails(open_profile, release=uri, model_name=uri.split("/")[-2], profile=profile)
    assert not (folder / "out/profile").exists()
    return said


def spoilt(store: ObjectStore, uri: str, change: Callable[[bytes], bytes], name: str) -> None:
    """Change the release's object whose key has `name` in it."""
    prefix = Address.parse(uri.removeprefix("sealed+"))
    for item in list(store.list(prefix)):
        if name in item.address.key:
            store.put(item.address, change(store.get(item.address)))


@pytest.mark.parametrize(
    ("change", "name", "code"),
    [
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "profile", "release-altered"),
        (lambda data: data[: len(data) // 2], "profile", "release-altered"),
        (lambda data: b"{}", "statement", "unsigned"),
    ],
    ids=["tampered", "truncated", "unsigned"],
)
def test_a_release_that_is_not_as_it_was_sealed(
    fails: Fails, sealed: str, store: ObjectStore, tmp_path: pathlib.Path, change: Any, name: str,
    code: str,
) -> None:  # fmt: skip
    spoilt(store, sealed, change, name)

    check(opened(fails, sealed, tmp_path), code)


def test_a_key_ring_of_somebody_else(
    fails: Fails, sealed: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    KeyRing.create(tmp_path / "others")
    monkeypatch.setenv("FALAJ_KEYS", str(tmp_path / "others"))

    check(opened(fails, sealed, tmp_path), "signer-unknown", "use the ring of whoever signed it")


def test_no_key_ring(
    fails: Fails, sealed: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with suppress(KeyError):
        monkeypatch.delenv("FALAJ_KEYS")

    check(opened(fails, sealed, tmp_path), "keys-unset", "FALAJ_KEYS is not set")


# Commands


@pytest.mark.parametrize(
    ("command", "code", "hint"),
    [
        (["run", "monitorin"], "pipeline-unknown", "did you mean 'monitoring'?"),
        (["run", "monitoring", "--set", "sinse=2013"], "parameter-unknown", "mean 'since'?"),
        (["run", "monitoring", "--set", "since"], "parameter-malformed", "expected NAME=VALUE"),
        (["compile", "--site", "SITE"], "site-malformed", "did you mean 'region'?"),
        (["compile", "--site", "nowhere.yaml"], "site-missing", "no such file"),
        (["compile", "--project", "nowhere"], "project-missing", "project.yaml"),
    ],
    ids=["pipeline", "parameter", "value", "site typo", "site", "project"],
)
def test_a_command_that_is_wrong(
    command: list[str],
    code: str,
    hint: str,
    tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    site = tmp_path / "site.yaml"
    shipped = pathlib.Path("pipelines/sites/cluster.yaml").read_text()
    site.write_text(shipped.replace("region:", "regoin:", 1))

    exit_code = main([str(site) if word == "SITE" else word for word in command])

    said = capsys.readouterr().err
    assert exit_code == EXITS[error_catalogue.entry(code).kind]
    assert said.startswith("falaj: ")
    assert said.endswith(f" [{code}]\n")
    assert hint in said
