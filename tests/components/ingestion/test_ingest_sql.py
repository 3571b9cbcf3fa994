import contextlib
import datetime
import pathlib
import sqlite3
from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

import pyarrow as pa
import pytest
import sqlalchemy as sa

from components.foundation.errors import InfrastructureError, UserError
from components.foundation.tables import TableRef, Tables
from components.ingestion.commit import Landed, Landing
from components.ingestion.ingest_sql import arrow, database, keyset
from components.ingestion.ingest_sql.component import ingest_sql


class Shop:
    """A SQLite database with a table of orders."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.run(
            "CREATE TABLE orders (seq INTEGER PRIMARY KEY, id INTEGER, at DATETIME, price FLOAT)"
        )

    @property
    def url(self) -> str:
        return f"sqlite:///{self.path}"

    def run(self, statement: str, rows: list[tuple[object, ...]] | None = None) -> None:
        with contextlib.closing(sqlite3.connect(self.path)) as connection, connection:
            connection.executemany(statement, rows) if rows else connection.execute(statement)

    def sell(self, *seqs: int) -> None:
        rows: list[tuple[object, ...]] = [
            (seq, seq // 2, "2013-01-01 05:00:00", seq / 2) for seq in seqs
        ]
        self.run("INSERT INTO orders VALUES (?, ?, ?, ?)", rows)


@pytest.fixture
def shop(tmp_path: pathlib.Path) -> Shop:
    return Shop(tmp_path / "shop.db")


@pytest.fixture
def target(unique: str) -> str:
    return f"s3://falaj-raw/{unique}"


def ingest(shop: Shop, tables: Tables, target: str, *, chunk_rows: int = 2) -> Landed:
    source = keyset.open_keyset(
        database.connect(shop.url), "orders", key="seq", columns=[], timezone="UTC"
    )
    landing = Landing.open(tables, target)
    return keyset.ingest(landing, source, table="orders", chunk_rows=chunk_rows)


def seqs(tables: Tables, ref: TableRef) -> list[object]:
    return list(tables.read(ref, ["seq"]).sort_by("seq").column("seq").to_pylist())


@pytest.mark.usefixtures("environment")
def test_the_face_brings_every_row_once_with_its_types(
    shop: Shop, tables: Tables, target: str
) -> None:
    shop.sell(1, 2, 3)

    table, rows, total = ingest_sql.python_func(
        connection=shop.url, table="orders", target=target, key="seq"
    )

    ref = TableRef.parse(table)
    assert (rows, total) == (3, 3)
    assert tables.schema(ref).field("at").type == pa.timestamp("us", "UTC")
    assert tables.read(ref).sort_by("seq").to_pylist()[1] == {
        "seq": 2,
        "id": 1,
        "at": datetime.datetime(2013, 1, 1, 5, tzinfo=datetime.UTC),
        "price": 1.0,
    }


def test_a_second_run_brings_only_what_is_new(shop: Shop, tables: Tables, target: str) -> None:
    shop.sell(1, 2, 3)
    ingest(shop, tables, target)
    shop.sell(4, 5)

    landed = ingest(shop, tables, target)

    assert (landed.rows, landed.total) == (2, 5)
    assert seqs(tables, landed.table) == [1, 2, 3, 4, 5]


def test_no_news_writes_no_version(shop: Shop, tables: Tables, target: str) -> None:
    shop.sell(1, 2, 3)
    first = ingest(shop, tables, target)

    second = ingest(shop, tables, target)

    assert second == Landed(first.table, 0, 3)
    assert tables.resolve(first.table.at(None)) == first.table


def test_killed_between_chunks_and_run_again_no_row_is_lost_or_doubled(
    shop: Shop, tables: Tables, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.sell(1, 2, 3, 4, 5)
    whole = keyset.Keyset.chunks

    def killed(self: keyset.Keyset, *, after: int | None, size: int) -> Iterator[keyset.Chunk]:
        yield next(whole(self, after=after, size=size))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(keyset.Keyset, "chunks", killed)
        with pytest.raises(KeyboardInterrupt):
            ingest(shop, tables, target)
    landed = ingest(shop, tables, target)

    assert landed.rows == 3
    assert seqs(tables, landed.table) == [1, 2, 3, 4, 5]


def test_a_run_that_another_overtook_commits_nothing(
    shop: Shop, tables: Tables, target: str
) -> None:
    shop.sell(1)
    ingest(shop, tables, target)
    shop.sell(2)
    slow = Landing.open(tables, target)
    overtaking = ingest(shop, tables, target)

    with pytest.raises(InfrastructureError, match="another run committed first"):
        slow.append(tables.read(overtaking.table), positions={"sql:orders:seq": 2})

    assert seqs(tables, overtaking.table.at(None)) == [1, 2]


def test_rows_that_share_a_key_are_not_cut_by_the_end_of_a_chunk(
    shop: Shop, tables: Tables, target: str
) -> None:
    shop.sell(1, 2, 3, 4, 5, 6, 7)  # ids 0 1 1 2 2 3 3
    source = keyset.open_keyset(
        database.connect(shop.url), "orders", key="id", columns=["seq"], timezone="UTC"
    )

    chunks = list(source.chunks(after=None, size=2))

    assert [chunk.rows.column("seq").to_pylist() for chunk in chunks] == [
        [1],
        [2, 3],
        [4, 5],
        [6, 7],
    ]
    with pytest.raises(UserError, match="share one id; give a key"):
        list(source.chunks(after=0, size=1))


def test_a_time_is_a_key_too(shop: Shop, tables: Tables, target: str) -> None:
    def read() -> list[object]:
        source = keyset.open_keyset(
            database.connect(shop.url), "orders", key="at", columns=[], timezone="Asia/Dubai"
        )
        landing = Landing.open(tables, target)
        return seqs(tables, keyset.ingest(landing, source, table="orders", chunk_rows=2).table)

    insert = "INSERT INTO orders VALUES (?, 1, ?, 1.0)"
    shop.run(insert, [(seq, f"2013-01-01 05:00:0{seq}.000001") for seq in (1, 2, 3)])
    assert read() == [1, 2, 3]
    shop.run(insert, [(4, "2013-01-01 05:00:03.000002"), (5, "2012-01-01 00:00:00.000000")])
    assert read() == [1, 2, 3, 4], "the fifth is of before, as a smaller number would be"


def test_an_empty_source_is_an_error_only_when_it_never_had_a_row(
    shop: Shop, tables: Tables, target: str
) -> None:
    with pytest.raises(UserError, match="'orders': is empty"):
        ingest(shop, tables, target)

    shop.sell(1)
    ingest(shop, tables, target)
    shop.run("DELETE FROM orders")

    assert ingest(shop, tables, target).rows == 0


def test_a_column_that_changed_its_type_is_refused_and_nothing_written(
    shop: Shop, tables: Tables, target: str
) -> None:
    shop.sell(1)
    before = ingest(shop, tables, target).table
    shop.run("DROP TABLE orders")
    shop.run("CREATE TABLE orders (seq INTEGER PRIMARY KEY, id TEXT, at DATETIME, price FLOAT)")
    shop.sell(2)

    with pytest.raises(UserError, match="column 'id' is integer, the source now gives text"):
        ingest(shop, tables, target)

    assert tables.resolve(before.at(None)) == before


def test_a_column_that_is_new_is_added(shop: Shop, tables: Tables, target: str) -> None:
    shop.sell(1)
    ingest(shop, tables, target)
    shop.run("ALTER TABLE orders ADD COLUMN gift BOOLEAN")
    shop.run("INSERT INTO orders VALUES (2, 1, '2013-01-01 05:00:00', 1.0, 1)")

    landed = ingest(shop, tables, target)

    gifts = tables.read(landed.table).sort_by("seq").column("gift").to_pylist()
    assert gifts == [None, True]


def test_a_missing_table_and_a_missing_column_name_the_nearest(shop: Shop) -> None:
    engine = database.connect(shop.url)

    with pytest.raises(UserError, match="no table 'order'; did you mean 'orders'"):
        database.table(engine, "order")
    with pytest.raises(UserError, match="no column 'prize'; did you mean 'price'"):
        database.columns(database.table(engine, "orders"), ["prize"])


def test_a_key_must_be_an_integer_or_a_time(shop: Shop) -> None:
    with pytest.raises(UserError, match="key 'price' is"):
        keyset.open_keyset(
            database.connect(shop.url), "orders", key="price", columns=[], timezone="UTC"
        )


@pytest.mark.parametrize(
    ("connection", "said"),
    [
        ("shop.db", "expected an SQLAlchemy URL"),
        ("postgresql://reader:secret@db/shop", "name the environment variable"),
        ("postgresql://reader@db/shop?password=secret", "name the environment variable"),
        ("postgresql://reader:secret@db:port/shop", "expected an SQLAlchemy URL"),
        ("reader:secret@db/shop", "expected an SQLAlchemy URL"),
        ("nosuchthing://db/shop", "expected an SQLAlchemy URL"),
        ("sqlite:////nowhere/shop.db", "no such file /nowhere/shop.db"),
    ],
)
def test_refuses_a_connection_that_cannot_work(connection: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        database.connect(connection)

    assert "secret" not in str(caught.value)
    assert not pathlib.Path("shop.db").exists()


@pytest.mark.parametrize(
    ("connection", "table", "uri"),
    [
        (
            "postgresql+psycopg://reader@db/shop?sslmode=require",
            "sales.orders",
            "postgres://db:5432/shop.sales.orders",
        ),
        ("mysql+pymysql://reader@db:3307/shop", "shop.orders", "mysql://db:3307/shop.orders"),
        ("sqlite:////data/shop.db?timeout=5", "orders", "sqlite:///data/shop.db/orders"),
    ],
    ids=["postgresql", "mysql", "sqlite"],
)
def test_a_table_is_named_as_openlineage_does_and_without_secrets(
    connection: str, table: str, uri: str
) -> None:
    schema, _, name = table.rpartition(".")
    url = sa.make_url(connection)
    engine = SimpleNamespace(url=url, dialect=SimpleNamespace(default_schema_name="public"))

    # Only the address matters here; a real engine would want the driver and a server.
    found = database.uri(cast("sa.Engine", engine), sa.Table(name, sa.MetaData(), schema=schema))

    assert found == uri


@pytest.mark.parametrize(
    "said",
    [
        'FATAL:  password authentication failed for user "reader"',
        "(1045, \"Access denied for user 'reader'@'db' (using password: YES)\")",
        "Login failed for user 'reader'. (18456)",
    ],
    ids=["postgresql", "mysql", "sqlserver"],
)
def test_a_wrong_password_is_the_users_error_and_silence_is_not(said: str) -> None:
    with pytest.raises(UserError, match="refused our credentials"):
        database.table(_answering(said), "orders")

    with pytest.raises(InfrastructureError, match="run again"):
        database.table(_answering("could not connect to server: Connection refused"), "orders")


def _answering(text: str) -> sa.Engine:
    def connect() -> None:
        raise sqlite3.OperationalError(text)

    return sa.create_engine("sqlite://", creator=connect)


@pytest.mark.usefixtures("environment")
def test_a_password_that_no_secret_holds_is_named(
    shop: Shop, target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        ingest_sql.python_func(
            connection=shop.url, table="orders", target=target, key="seq", password_env="SHOP_PASS"
        )

    assert left.value.code == 2
    assert "'SHOP_PASS' is not set" in capsys.readouterr().err


def test_times_without_a_zone_are_read_in_the_zone_that_is_given() -> None:
    noon = datetime.datetime(2024, 3, 1, 12)
    schema = pa.schema([("at", pa.timestamp("us", "UTC"))])

    rows = arrow.table([(noon,), (None,)], schema, timezone="Asia/Dubai")

    assert rows.column("at").to_pylist() == [
        datetime.datetime(2024, 3, 1, 8, tzinfo=datetime.UTC),
        None,
    ]


def test_a_value_that_is_not_of_its_columns_type_is_named() -> None:
    schema = pa.schema([("price", pa.float64())])

    with pytest.raises(UserError, match=r"column 'price': row 1 read is str.*expected double"):
        arrow.table([("cheap",)], schema, timezone="UTC")


def test_a_type_without_a_place_is_named() -> None:
    column: sa.Column[object] = sa.Column("where", sa.ARRAY(sa.Integer))

    with pytest.raises(UserError, match="column 'where': no place"):
        arrow.schema([column])
