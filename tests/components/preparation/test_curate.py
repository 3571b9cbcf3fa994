import pathlib

import pyarrow as pa
import pytest

from components.foundation.engine import Limits
from components.foundation.errors import UserError
from components.foundation.tables import TableRef, Tables
from components.preparation.curate import curation
from components.preparation.curate.component import curate

CONTRACT = """
name: trips
columns:
  - {name: id, type: int64, nullable: false}
  - {name: seats, type: int64, rules: [{range: {min: 1}}]}
  - {name: note, type: string, rules: [{one_of: [fine], severity: warning}]}
keys:
  - columns: [id]
"""
TRIPS = pa.table(
    {
        "id": pa.array([1, 2, 2, 2, None, 3, 4, 4, None], pa.int64()),
        "seats": pa.array([10, 30, 20, 0, 5, -1, 7, 7, 6], pa.int64()),
        "note": ["fine", "fine", "odd"] * 3,
    }
)


@pytest.fixture
def trips(tables: Tables, unique: str) -> TableRef:
    return tables.replace(TableRef("falaj-raw", unique), TRIPS)


def order(trips: TableRef, sql: str = "", **contracts: str) -> curation.Order:
    return curation.Order(
        inputs={trips.name: trips},
        sql=sql or f"SELECT id, seats FROM {trips.name}",
        target=TableRef("falaj-curated", trips.name),
        contracts=contracts,
        limits=Limits(),
    )


def seats(tables: Tables, ref: TableRef) -> list[int]:
    return sorted(int(row["seats"]) for row in tables.read(ref).to_pylist())


def test_bad_rows_go_to_quarantine_with_the_rule_they_broke(
    tables: Tables, trips: TableRef, tmp_path: pathlib.Path
) -> None:
    done = curation.work(order(trips, **{trips.name: CONTRACT}), tables, tmp_path)

    bad = tables.read(done.quarantines[trips.name]).to_pylist()
    assert sorted((row["rule"], row["seats"]) for row in bad) == [
        ("id: not null", 5),
        ("id: not null", 6),
        ("key id", 7),
        ("key id", 30),
        ("seats: range", -1),
        ("seats: range", 0),
    ]
    assert {row["source"] for row in bad} == {str(trips)}
    assert done.quarantined[f"{trips.name}: key id"] == 2


def test_nothing_is_lost_between_good_and_bad(
    tables: Tables, trips: TableRef, tmp_path: pathlib.Path
) -> None:
    done = curation.work(order(trips, **{trips.name: CONTRACT}), tables, tmp_path)

    assert done.rows_out + sum(done.quarantined.values()) == done.rows_in == 9
    assert seats(tables, done.table) == [7, 10, 20]


def test_a_broken_warning_sets_no_row_aside(
    tables: Tables, trips: TableRef, tmp_path: pathlib.Path
) -> None:
    select = f"SELECT seats FROM {trips.name} WHERE note = 'odd'"

    done = curation.work(order(trips, select, **{trips.name: CONTRACT}), tables, tmp_path)

    assert seats(tables, done.table) == [20]
    assert not [rule for rule in done.quarantined if "note" in rule]


def test_a_good_row_is_kept_when_its_twin_is_bad(
    tables: Tables, unique: str, tmp_path: pathlib.Path
) -> None:
    rows = pa.table({"id": [1, 1], "seats": [-5, 9], "note": ["fine", "fine"]})
    ref = tables.replace(TableRef("falaj-raw", unique), rows)

    done = curation.work(order(ref, **{unique: CONTRACT}), tables, tmp_path)

    assert tables.read(done.table)["seats"].to_pylist() == [9]


def test_which_twin_is_kept_does_not_depend_on_the_files(
    tables: Tables, unique: str, tmp_path: pathlib.Path
) -> None:
    other = TableRef("falaj-raw", f"{unique}o")
    for i in reversed(range(TRIPS.num_rows)):
        ref = tables.append(other, TRIPS.slice(i, 1), transactions={})

    done = curation.work(order(ref, **{ref.name: CONTRACT}), tables, tmp_path)

    assert seats(tables, done.table) == [7, 10, 20]


def test_the_same_work_again_writes_nothing(
    tables: Tables, trips: TableRef, tmp_path: pathlib.Path
) -> None:
    first = curation.work(order(trips, **{trips.name: CONTRACT}), tables, tmp_path)
    again = curation.work(order(trips, **{trips.name: CONTRACT}), tables, tmp_path)

    assert again == first
    assert tables.resolve(first.table.at(None)) == first.table
    assert first.table.version == 0


def test_other_sql_or_a_newer_input_is_other_work(
    tables: Tables, trips: TableRef, tmp_path: pathlib.Path
) -> None:
    first = curation.work(order(trips), tables, tmp_path)
    other = curation.work(order(trips, f"SELECT id FROM {trips.name}"), tables, tmp_path)
    newer = tables.append(trips.at(None), TRIPS, transactions={})
    third = curation.work(order(newer), tables, tmp_path)

    assert [one.table.version for one in (first, other, third)] == [0, 1, 2]
    assert [one.rows_out for one in (first, other, third)] == [9, 9, 18]


def test_a_table_left_clean_has_an_empty_quarantine(
    tables: Tables, trips: TableRef, tmp_path: pathlib.Path
) -> None:
    curation.work(order(trips, **{trips.name: CONTRACT}), tables, tmp_path)
    clean = tables.replace(trips, TRIPS.slice(0, 1))

    done = curation.work(order(clean, **{trips.name: CONTRACT}), tables, tmp_path)

    assert tables.rows(done.quarantines[trips.name]) == 0
    assert done.quarantined == {}


def test_an_empty_table_makes_an_empty_table(
    tables: Tables, trips: TableRef, tmp_path: pathlib.Path
) -> None:
    empty = tables.replace(trips, TRIPS.slice(0, 0))

    done = curation.work(order(empty, **{trips.name: CONTRACT}), tables, tmp_path)

    assert (done.rows_in, done.rows_out) == (0, 0)


def test_types_that_delta_lacks_are_cast(
    tables: Tables, trips: TableRef, tmp_path: pathlib.Path
) -> None:
    text = f"SELECT sum(seats) AS s, md5('x')::UUID AS u, 5::UINTEGER AS n FROM {trips.name}"

    done = curation.work(order(trips, text), tables, tmp_path)

    kinds = [str(field.type) for field in tables.schema(done.table)]
    assert kinds == ["int64", "string", "int64"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("SELECT nope FROM {}", "DuckDB refused the SQL: .*nope"),
        ("SELECT CAST(note AS INT) AS n FROM {}", "Conversion error on the rows, as INT32"),
        ("SELECT TIME '10:00' AS t FROM {}", "column 't' is TIME, which Delta Lake"),
        ("SELECT * FROM other", "reads 'other'"),
    ],
)
def test_refuses_sql_that_does_not_fit(
    tables: Tables, trips: TableRef, tmp_path: pathlib.Path, text: str, says: str
) -> None:
    with pytest.raises(UserError, match=says):
        curation.work(order(trips, text.format(trips.name)), tables, tmp_path)

    assert not tables.exists(TableRef("falaj-curated", trips.name))


def test_the_engine_itself_opens_no_other_file(
    tables: Tables, trips: TableRef, tmp_path: pathlib.Path
) -> None:
    """The check of the SQL is not the only wall."""
    import duckdb

    from components.foundation import engine

    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")

    with (
        pytest.raises(UserError, match="disabled by configuration"),
        engine.opened([tables.files(trips, tmp_path)]) as connection,
    ):
        connection.execute(f"SELECT * FROM '{secret}'")
    with (
        pytest.raises(UserError, match="InvalidInput error"),
        engine.opened([]) as connection,
    ):
        connection.execute("SET enable_external_access = true")
    assert duckdb.execute(f"SELECT * FROM '{secret}'").fetchall() == [(1,)]


def test_refuses_a_column_whose_name_the_quarantine_needs(
    tables: Tables, trips: TableRef, tmp_path: pathlib.Path
) -> None:
    taken = tables.replace(trips, TRIPS.append_column("rule", pa.array(["x"] * 9)))

    with pytest.raises(UserError, match="column 'rule' cannot be quarantined"):
        curation.work(order(taken, **{trips.name: CONTRACT}), tables, tmp_path)


@pytest.mark.usefixtures("environment")
class TestFace:
    def test_counts_what_came_in_went_out_and_was_set_aside(self, trips: TableRef) -> None:
        made = curate.python_func(
            {"trips": f"{trips.uri}@latest"},
            "SELECT id FROM trips",
            f"s3://falaj-curated/{trips.name}",
            {"trips": CONTRACT},
        )

        assert made[:3] == (f"s3://falaj-curated/{trips.name}@0", 9, 3)
        assert made[3] == {"trips: id: not null": 2, "trips: key id": 2, "trips: seats: range": 2}

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({"sql": "SELECT * FROM trip"}, "reads 'trip'"),
            ({"contracts": {"trip": CONTRACT}}, "did you mean 'trips'"),
            ({"target": "s3://falaj-curated/x@3"}, "a version cannot be written to"),
            ({"memory_limit_mb": 200}, "expected at least 512"),
        ],
    )
    def test_a_wrong_order_exits_2(
        self,
        trips: TableRef,
        capsys: pytest.CaptureFixture[str],
        changes: dict[str, object],
        says: str,
    ) -> None:
        given = {
            "tables": {"trips": str(trips)},
            "sql": "SELECT id FROM trips",
            "target": f"s3://falaj-curated/{trips.name}",
        }

        with pytest.raises(SystemExit) as exit_:
            curate.python_func(**{**given, **changes})

        assert exit_.value.code == 2
        assert says in capsys.readouterr().err
