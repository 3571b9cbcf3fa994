"""The same rows give the same answers, however their files hold them."""

import itertools
import pathlib

import numpy as np
import pyarrow as pa
import pytest

from components.features.offline_store import asof, sql
from components.foundation import engine
from components.foundation.engine import Limits
from components.foundation.tables import DataFiles, TableRef, Tables
from components.foundation.verdict import Decision, Verdict
from components.preparation.curate import curation
from components.preparation.profile import observed
from components.preparation.split import parts
from components.release.smoke_test.reference import first_rows

COUNT = 150_000  # more than a row group, so that a second thread would find work
RANDOM = np.random.default_rng(3)
ROWS = pa.table(
    {
        "id": pa.array(np.arange(COUNT)),
        "route": pa.array(RANDOM.integers(0, 40, COUNT)),
        "delay": pa.array(np.where(RANDOM.random(COUNT) < 0.1, np.nan, RANDOM.random(COUNT))),
        "time": pa.array(RANDOM.integers(0, 9, COUNT)),
    }
)
CONTRACT = "name: delays\ncolumns:\n  - {name: id, type: int64, nullable: false}\n"


@pytest.fixture
def twins(tables: Tables, unique: str) -> tuple[TableRef, TableRef]:
    """Two tables of the same rows, in other orders, in other files."""
    return _scattered(tables, f"{unique}/a", 1), _scattered(tables, f"{unique}/b", 2)


def _scattered(tables: Tables, name: str, seed: int) -> TableRef:
    random = np.random.default_rng(seed)
    rows = ROWS.take(random.permutation(COUNT))
    cuts = [0, *sorted(random.integers(1, COUNT, 2)), COUNT]
    ref = TableRef("falaj-raw", name)
    for start, end in itertools.pairwise(cuts):
        ref = tables.append(ref.at(None), rows.slice(start, end - start), transactions={})
    return ref


def _files(
    tables: Tables, twins: tuple[TableRef, TableRef], cache: pathlib.Path
) -> tuple[DataFiles, DataFiles]:
    return tables.files(twins[0], cache), tables.files(twins[1], cache)


def _same(first: pa.Table, second: pa.Table) -> bool:
    """Compare every bit: NaN is NaN, and the last digit of a sum counts."""
    return repr(first.to_pylist()) == repr(second.to_pylist())


def test_a_table_is_read_in_the_order_of_its_content(
    tables: Tables, twins: tuple[TableRef, TableRef]
) -> None:
    first, second = (tables.read(ref, ["route", "delay", "id"]) for ref in twins)

    assert _same(first, second)
    routes = first.column("route").to_numpy()
    assert (routes[:-1] <= routes[1:]).all()


@pytest.mark.parametrize("contract", ["", CONTRACT], ids=["bare", "contract"])
@pytest.mark.parametrize(
    "select",
    [
        "SELECT route, sum(delay) AS total, any_value(id) AS one FROM rows "
        "WHERE NOT isnan(delay) GROUP BY route",
        "SELECT * FROM rows QUALIFY row_number() OVER (PARTITION BY route ORDER BY time) = 1",
        "SELECT id FROM rows LIMIT 5",
    ],
    ids=["sums of floats", "ties", "limit"],
)
def test_sql_that_takes_who_comes_first_makes_the_same_table(
    select: str,
    contract: str,
    tables: Tables,
    twins: tuple[TableRef, TableRef],
    tmp_path: pathlib.Path,
) -> None:
    made = []
    for ref in twins:
        target = TableRef("falaj-curated", ref.name)
        contracts = {"rows": contract} if contract else {}
        order = curation.Order({"rows": ref}, select, target, contracts, Limits())
        made.append(tables.read(curation.work(order, tables, tmp_path).table))

    assert _same(*made)


def test_a_profile_is_the_same_to_the_last_digit(
    tables: Tables,
    twins: tuple[TableRef, TableRef],
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(observed, "_SAMPLE_ROWS", 40_000)  # so that a sample is taken

    first, second = (
        observed.profile(files, ["delay", "route"]) for files in _files(tables, twins, tmp_path)
    )

    assert first.digest() == second.digest()


def test_a_split_makes_the_same_parts(
    tables: Tables, twins: tuple[TableRef, TableRef], tmp_path: pathlib.Path
) -> None:
    rule = parts.Rule.parse("id", [], [0.6, 0.2, 0.2])
    first, second = (
        parts.divide(files, rule, target=TableRef("falaj-features", ref.name), tables=tables)
        for ref, files in zip(twins, _files(tables, twins, tmp_path), strict=True)
    )

    for part in parts.NAMES:
        assert _same(tables.read(first[part]), tables.read(second[part]))


def test_the_same_rows_are_tried_in_the_server(
    tables: Tables, twins: tuple[TableRef, TableRef], tmp_path: pathlib.Path
) -> None:
    first, second = (first_rows(files, 20) for files in _files(tables, twins, tmp_path))

    assert first.num_rows == 20
    assert _same(first, second)


def test_of_values_as_new_as_each_other_the_same_goes_online(
    tables: Tables, twins: tuple[TableRef, TableRef], tmp_path: pathlib.Path
) -> None:
    found = []
    for files in _files(tables, twins, tmp_path):
        source = f"(SELECT id, route, make_timestamp(time) AS time FROM {files.duckdb_source()})"
        view = asof.View("delays", source, {"route": "route"}, {"id": "id"}, "time")
        query = asof.latest(view, start_us=0, end_us=100)
        with sql.connect(tmp_path) as connection:
            found.append(sorted(connection.sql(query).fetchall()))

    assert len(found[0]) == 40
    assert found[0] == found[1]


def test_a_database_has_one_thread_unless_asked_otherwise() -> None:
    with engine.opened([]) as connection:
        threads = connection.execute("SELECT current_setting('threads')").fetchall()

    assert threads == [(1,)]


def test_time_and_what_was_measured_are_no_part_of_a_verdict() -> None:
    def verdict(**rest: object) -> Verdict:
        return Verdict("smoke test", Decision.ACCEPT, "fine", {"rows": 3}, **rest)  # type: ignore[arg-type]

    first, second = verdict(measured={"p99_ms": 1.2}), verdict(measured={"p99_ms": 9}, time="later")

    assert first.digest() == second.digest()
    assert Verdict.from_dict(first.to_dict()) == first
