import datetime
import pathlib

import pyarrow as pa
import pytest

from components.foundation.errors import UserError
from components.foundation.tables import TableRef, Tables
from components.preparation.split import parts
from components.preparation.split.component import split

START = datetime.datetime(2013, 1, 1, tzinfo=datetime.UTC)
TIMES = [START + datetime.timedelta(hours=i) for i in range(1000)]
ROWS = pa.table(
    {
        "key": [f"k{i // 2}" for i in range(1000)],
        "time": pa.array(TIMES, pa.timestamp("us", tz="UTC")),
    }
)
BY_TIME = parts.Rule("time", boundaries=(TIMES[600].isoformat(), TIMES[800].isoformat()))
BY_HASH = parts.Rule("key", fractions=(0.6, 0.2, 0.2))


@pytest.fixture
def table(tables: Tables, unique: str) -> TableRef:
    return tables.replace(TableRef("falaj-features", unique), ROWS)


def divided(
    tables: Tables, table: TableRef, rule: parts.Rule, cache: pathlib.Path
) -> dict[str, TableRef]:
    return parts.divide(tables.files(table, cache), rule, target=table.at(None), tables=tables)


def test_by_time_a_boundary_belongs_to_the_later_part(
    tables: Tables, table: TableRef, tmp_path: pathlib.Path
) -> None:
    made = divided(tables, table, BY_TIME, tmp_path)

    assert [tables.rows(made[part]) for part in parts.NAMES] == [600, 200, 200]
    assert min(r["time"] for r in tables.read(made["validation"]).to_pylist()) == TIMES[600]


def test_by_hash_a_key_is_in_one_part_only_and_nothing_is_lost(
    tables: Tables, table: TableRef, tmp_path: pathlib.Path
) -> None:
    made = divided(tables, table, BY_HASH, tmp_path)

    keys = [{r["key"] for r in tables.read(made[part]).to_pylist()} for part in parts.NAMES]
    assert not keys[0] & keys[1]
    assert not keys[0] & keys[2]
    assert not keys[1] & keys[2]
    assert sum(tables.rows(ref) for ref in made.values()) == 1000
    assert tables.rows(made["train"]) == pytest.approx(600, abs=75)  # 3.4 sd of 500 keys


@pytest.mark.parametrize("rule", [BY_TIME, BY_HASH], ids=["time", "hash"])
def test_the_same_split_again_writes_nothing(
    tables: Tables, table: TableRef, tmp_path: pathlib.Path, rule: parts.Rule
) -> None:
    first = divided(tables, table, rule, tmp_path)

    assert divided(tables, table, rule, tmp_path) == first
    assert {ref.version for ref in first.values()} == {0}


def test_refuses_to_lose_rows_without_a_time(
    tables: Tables, table: TableRef, tmp_path: pathlib.Path
) -> None:
    holes = tables.append(table.at(None), ROWS.slice(0, 3).drop(["time"]), transactions={})

    with pytest.raises(UserError, match=r"3 rows of .* have no 'time' and would be lost"):
        divided(tables, holes, BY_TIME, tmp_path)


def test_refuses_an_empty_part(tables: Tables, table: TableRef, tmp_path: pathlib.Path) -> None:
    late = parts.Rule("time", boundaries=("2013-01-10T00:00:00+00:00", "2014-01-01T00:00:00+00:00"))

    with pytest.raises(UserError, match="falls into 'test'"):
        divided(tables, table, late, tmp_path)


@pytest.mark.parametrize(
    ("boundaries", "fractions", "says"),
    [
        ([], [], "got neither"),
        (["2013-01-01", "2013-02-01"], [0.5, 0.5, 0], "got both"),
        (["2013-02-01", "2013-01-01"], [], "the earlier first"),
        (["2013-02-01"], [], "expected two times"),
        (["soon", "later"], [], "expected RFC 3339"),
        ([], [0.5, 0.4, 0.2], "adding up to 1"),
    ],
)
def test_refuses_a_rule_that_divides_nothing(
    boundaries: list[str], fractions: list[float], says: str
) -> None:
    with pytest.raises(UserError, match=says):
        parts.Rule.parse("time", boundaries, fractions)


@pytest.mark.usefixtures("environment")
def test_the_face_gives_pinned_references_and_counts(table: TableRef) -> None:
    made = split.python_func(
        f"{table.uri}@latest", table.uri, "time", ["2013-01-11", "2013-01-21T00:00:00Z"]
    )

    assert made[:3] == tuple(f"{table.uri}-{part}@0" for part in parts.NAMES)
    assert made[3] == {"train": 240, "validation": 240, "test": 520}
