import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.foundation.errors import InfrastructureError, UserError
from components.foundation.storage import Address, ObjectStore
from components.foundation.tables import TableRef, Tables
from components.ingestion.ingest_objects import formats, landing
from components.ingestion.ingest_objects.component import ingest_objects
from components.ingestion.ingest_objects.formats import Format


@pytest.fixture
def folder(unique: str) -> Address:
    return Address("falaj-raw", f"landing/{unique}")


def ingest(
    store: ObjectStore, tables: Tables, folder: Address, kind: str = "csv"
) -> landing.Objects:
    name = folder.key.rpartition("/")[2]
    return landing.ingest(
        store,
        tables,
        pattern=f"{folder}/*.{kind}",
        target=f"s3://falaj-raw/{name}",
        format=Format.parse(kind),
    )


def content(tables: Tables, ref: TableRef) -> list[tuple[str, ...]]:
    rows = tables.read(ref).to_pylist()
    return sorted((row["a"], row["_object"].rpartition("/")[2]) for row in rows)


def torn(tables: Tables, folder: Address) -> list[tuple[str, str]]:
    ref = TableRef("falaj-quarantine", f"torn/{folder.key.rpartition('/')[2]}")
    rows = tables.read(ref).to_pylist()
    return sorted((row["line"], row["rule"]) for row in rows)


@pytest.mark.usefixtures("environment")
def test_the_face_reads_every_object_once_and_counts_torn_lines(
    store: ObjectStore, tables: Tables, folder: Address, unique: str
) -> None:
    store.put(folder / "1.csv", b"a,b\n1,x\n2\n3,y,z\n")
    store.put(folder / "2.csv", b"a,b\n4,w\n")
    store.put(folder / "not-mine.txt", b"nothing")
    arguments = {"source": f"{folder}/*.csv", "target": f"s3://falaj-raw/{unique}"}

    table, rows, total, count = ingest_objects.python_func(**arguments)
    again = ingest_objects.python_func(**arguments)

    assert (rows, total, count) == (2, 2, 2)
    assert content(tables, TableRef.parse(table)) == [("1", "1.csv"), ("4", "2.csv")]
    assert torn(tables, folder) == [("2", "torn line"), ("3,y,z", "torn line")]
    assert tuple(again) == (table, 0, 2, 2)


def test_an_object_that_is_new_is_added_and_one_that_changed_is_replaced(
    store: ObjectStore, tables: Tables, folder: Address
) -> None:
    store.put(folder / "1.csv", b"a\n1\n2\n")
    store.put(folder / "2.csv", b"a\n3\n4,torn\n")
    ingest(store, tables, folder)
    store.put(folder / "2.csv", b"a\n30\n")
    store.put(folder / "3.csv", b"a\n5\n")

    done = ingest(store, tables, folder)

    assert (done.landed.rows, done.landed.total, done.torn) == (2, 4, 0)
    assert content(tables, done.landed.table) == [
        ("1", "1.csv"),
        ("2", "1.csv"),
        ("30", "2.csv"),
        ("5", "3.csv"),
    ]
    assert torn(tables, folder) == []


def test_the_same_bytes_put_again_are_no_news(
    store: ObjectStore, tables: Tables, folder: Address
) -> None:
    store.put(folder / "1.csv", b"a\n1\n")
    first = ingest(store, tables, folder)
    store.put(folder / "1.csv", b"a\n1\n")

    second = ingest(store, tables, folder)

    assert second.landed.table == first.landed.table


def test_killed_before_the_commit_and_run_again_nothing_is_doubled(
    store: ObjectStore, tables: Tables, folder: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(folder / "1.csv", b"a\n1\n2,torn\n")
    store.put(folder / "2.csv", b"a\n3\n")
    batches = landing._batches
    monkeypatch.setattr(landing, "_BATCH_BYTES", 1)  # a commit an object

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(landing, "_land", killed)  # torn lines are out, rows are not
        with pytest.raises(KeyboardInterrupt):
            ingest(store, tables, folder)
    with monkeypatch.context() as patch:
        patch.setattr(landing, "_batches", lambda objects: [next(iter(batches(objects)))])
        ingest(store, tables, folder)  # only the first object lands
    done = ingest(store, tables, folder)

    assert (done.landed.rows, done.torn) == (1, 1)
    assert content(tables, done.landed.table) == [("1", "1.csv"), ("3", "2.csv")]
    assert torn(tables, folder) == [("2,torn", "torn line")]


def test_csv_is_text_with_quotes_and_an_empty_field_is_null() -> None:
    data = b'\xef\xbb\xbfa,b,c\n007,"x, ""y""\nz",\n,"",1e3\n'

    rows = formats.parse(data, Format.CSV, name="x").rows

    assert rows.to_pylist() == [
        {"a": "007", "b": 'x, "y"\nz', "c": None},
        {"a": None, "b": "", "c": "1e3"},
    ]


def test_parquet_keeps_its_types(store: ObjectStore, tables: Tables, folder: Address) -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"n": [1, 2], "x": [0.5, None]}), buffer)
    store.put(folder / "1.parquet", buffer.getvalue())

    done = ingest(store, tables, folder, "parquet")

    assert tables.read(done.landed.table, ["n", "x"]).to_pydict() == {"n": [1, 2], "x": [0.5, None]}


def test_json_lines_that_are_no_objects_are_torn() -> None:
    parsed = formats.parse(b'{"a": 1}\n{"a": \n\n[2]\n{"b": "x"}\n', Format.JSONL, name="x")

    assert parsed.rows.to_pylist() == [{"a": 1, "b": None}, {"a": None, "b": "x"}]
    assert parsed.torn == ('{"a": ', "[2]")


@pytest.mark.parametrize(
    ("data", "format"),
    [
        (b"", Format.CSV),
        (b"PAR1 no", Format.PARQUET),
        (b"a\n\xff\n", Format.CSV),
        (b"\xff", Format.JSONL),
    ],
    ids=["empty csv", "broken parquet", "csv not utf-8", "jsonl not utf-8"],
)
def test_an_object_that_is_not_of_its_format_is_named(data: bytes, format: Format) -> None:
    with pytest.raises(UserError, match="s3://b/broken: cannot be read as"):
        formats.parse(data, format, name="s3://b/broken")


def test_a_glob_that_matches_nothing_is_an_error(
    store: ObjectStore, tables: Tables, folder: Address
) -> None:
    store.put(folder / "1.txt", b"a\n1\n")

    with pytest.raises(UserError, match="no object matches"):
        ingest(store, tables, folder)


def test_a_glob_may_hold_a_question_mark(store: ObjectStore, folder: Address) -> None:
    for name in ("1.csv", "22.csv"):
        store.put(folder / name, b"a\n1\n")

    found = landing.find(store, f"{folder}/?.csv")

    assert [info.address for info in found] == [folder / "1.csv"]


def test_an_object_whose_column_changed_its_type_is_refused(
    store: ObjectStore, tables: Tables, folder: Address
) -> None:
    store.put(folder / "1.jsonl", b'{"a": 1}\n')
    ingest(store, tables, folder, "jsonl")
    store.put(folder / "2.jsonl", b'{"a": "one"}\n')

    with pytest.raises(UserError, match="column 'a' is integer, the source now gives text"):
        ingest(store, tables, folder, "jsonl")


def test_a_format_with_a_typo_names_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'parquet'"):
        Format.parse("parket")


@pytest.mark.parametrize("target", ["s3://falaj-raw/x@7", "s3://falaj-raw", "planes"])
def test_refuses_a_target_that_is_no_table_to_grow(
    target: str, store: ObjectStore, tables: Tables, folder: Address
) -> None:
    store.put(folder / "1.csv", b"a\n1\n")

    with pytest.raises(UserError, match="expected s3://bucket/"):
        landing.ingest(store, tables, pattern=f"{folder}/*.csv", target=target, format=Format.CSV)


def test_an_object_that_vanishes_before_it_is_read_leaves_the_table_as_it_was(
    store: ObjectStore, tables: Tables, folder: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(folder / "1.csv", b"a\n1\n")
    first = ingest(store, tables, folder).landed.table
    store.put(folder / "2.csv", b"a\n2\n")
    listed = landing.find(store, f"{folder}/*.csv")
    store.delete(folder / "2.csv")

    with monkeypatch.context() as patch:
        patch.setattr(landing, "find", lambda *_: listed)
        with pytest.raises(InfrastructureError, match=r"2\.csv: was listed"):
            ingest(store, tables, folder)

    assert tables.resolve(first.at(None)) == first
    assert ingest(store, tables, folder).landed.total == 1
