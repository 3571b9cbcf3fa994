import datetime
import pathlib
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from kfp import dsl

from components.foundation.errors import UserError
from components.foundation.tables import TableRef, Tables
from components.foundation.verdict import Decision, Verdict
from components.preparation.validate import check, contract, rules
from components.preparation.validate.component import validate

CONTRACT = """
name: trips
columns:
  - name: id
    type: int64
    nullable: false
  - name: seats
    type: int64
    text: true
    rules: [{range: {min: 1, max: 900}}]
  - name: origin
    type: string
    rules:
      - one_of: [EWR, "O'Hare"]
      - {matches: '^[A-Z]', severity: warning}
  - {name: leaves, type: timestamp, rules: [{range: {min: 2013-01-01}}]}
keys:
  - columns: [id]
checks:
  - {name: more seats than ids, sql: seats > id}
freshness: {column: leaves, within_days: 2}
"""
DAY = datetime.datetime(2013, 5, 1, tzinfo=datetime.UTC)


def trips(**columns: list[object]) -> pa.Table:
    good: dict[str, list[object]] = {
        "id": [1, 2, 3, 4],
        "seats": ["10", "20", None, "40"],
        "origin": ["EWR", "O'Hare", None, "EWR"],
        "leaves": [DAY] * 4,
    }
    values = {**good, **columns}
    kinds = {"id": pa.int64(), "leaves": pa.timestamp("us", tz="UTC")}
    return pa.table({k: pa.array(v, kinds.get(k, pa.string())) for k, v in values.items()})


@pytest.fixture
def ref(unique: str) -> TableRef:
    return TableRef("falaj-raw", unique)


def judged(
    tables: Tables, ref: TableRef, cache: pathlib.Path, rows: pa.Table, text: str = CONTRACT
) -> Verdict:
    files = tables.files(tables.replace(ref, rows), cache)
    return check.check(files, contract.parse(text), as_of="2013-05-02T00:00:00Z")


def broken(verdict: Verdict) -> dict[str, int]:
    return {f["rule"]: f["broken"] for f in verdict.evidence["rules"] if f["broken"]}


def test_accepts_a_table_that_keeps_its_contract(
    tables: Tables, ref: TableRef, tmp_path: pathlib.Path
) -> None:
    verdict = judged(tables, ref, tmp_path, trips())

    assert verdict.decision is Decision.ACCEPT
    assert broken(verdict) == {}
    assert len(verdict.evidence["rules"]) == 10


@pytest.mark.parametrize(
    ("columns", "rule", "count"),
    [
        ({"id": [1, None, None, 4]}, "id: not null", 2),
        ({"id": [1, 2, 2, 2]}, "key id", 2),
        ({"seats": ["10", "ten", None, "40"]}, "seats: type", 1),
        ({"seats": ["10", "20", None, "901"]}, "seats: range", 1),
        ({"origin": ["EWR", "O'Hare", "Jeddah", "EWR"]}, "origin: one_of", 1),
        ({"seats": ["0", "1", "4", "5"]}, "more seats than ids", 2),
        ({"leaves": [DAY, DAY, DAY, DAY.replace(year=2012)]}, "leaves: range", 1),
        ({"leaves": [DAY.replace(day=4)] * 4}, "freshness", 1),
    ],
)
def test_refuses_and_counts_what_breaks_a_rule(
    tables: Tables,
    ref: TableRef,
    tmp_path: pathlib.Path,
    columns: dict[str, list[object]],
    rule: str,
    count: int,
) -> None:
    verdict = judged(tables, ref, tmp_path, trips(**columns))

    assert verdict.decision is Decision.REFUSE
    assert broken(verdict)[rule] == count


def test_a_column_of_another_type_breaks_its_rule_in_every_row(
    tables: Tables, ref: TableRef, tmp_path: pathlib.Path
) -> None:
    rows = trips().set_column(0, "id", pa.array(["1", "2", "3", "4"]))

    verdict = judged(tables, ref, tmp_path, rows)

    assert broken(verdict) == {"id: type": 4}


def test_a_tolerated_fraction_holds_and_a_little_more_does_not(
    tables: Tables, ref: TableRef, tmp_path: pathlib.Path
) -> None:
    rows = trips(id=[1, 2, 3, None])

    just = CONTRACT.replace("nullable: false", "nullable: false\n    tolerate: 0.25")
    less = CONTRACT.replace("nullable: false", "nullable: false\n    tolerate: 0.24")

    assert judged(tables, ref, tmp_path, rows, just).passes
    assert not judged(tables, ref, tmp_path, rows, less).passes


def test_a_warning_is_reported_and_refuses_nothing(
    tables: Tables, ref: TableRef, tmp_path: pathlib.Path
) -> None:
    text = CONTRACT.replace("'^[A-Z]'", "'^[a-z]'")

    verdict = judged(tables, ref, tmp_path, trips(), text)

    assert verdict.passes
    assert verdict.evidence["warnings"] == ["origin: matches"]


def test_refuses_an_empty_table(tables: Tables, ref: TableRef, tmp_path: pathlib.Path) -> None:
    verdict = judged(tables, ref, tmp_path, trips().slice(0, 0))

    assert broken(verdict) == {"volume": 1, "freshness": 1}


def test_a_row_from_the_future_does_not_make_a_table_fresh(
    tables: Tables, ref: TableRef, tmp_path: pathlib.Path
) -> None:
    old, future = DAY.replace(month=1), DAY.replace(year=2099)

    verdict = judged(tables, ref, tmp_path, trips(leaves=[old, old, old, future]))

    assert broken(verdict) == {"freshness": 1}


def test_without_a_time_freshness_is_not_judged_and_says_so(
    tables: Tables, ref: TableRef, tmp_path: pathlib.Path
) -> None:
    files = tables.files(tables.replace(ref, trips()), tmp_path)

    verdict = check.check(files, contract.parse(CONTRACT))

    assert verdict.evidence["freshness"] == "not judged: no as_of was given"


def test_counters_of_parts_add_up_to_those_of_the_whole(
    tables: Tables, ref: TableRef, tmp_path: pathlib.Path
) -> None:
    rows = trips(id=[1, None, 3, None], origin=["EWR", "x", "y", "EWR"])
    compiled = rules.of(contract.parse(CONTRACT), rows.schema)
    connection = duckdb.connect()
    connection.register("whole", rows)
    connection.register("first", rows.slice(0, 2))
    connection.register("second", rows.slice(2))

    whole, left, right = (
        check.count(connection, name, compiled, now=DAY) for name in ("whole", "first", "second")
    )

    assert left + right == whole


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("name: seats", "name: seat", "the table has no column 'seat'; did you mean 'seats'"),
        ("seats > id", "seat > id", "no such column; did you mean 'seats'"),
        ("seats > id", "(SELECT 1) > id", "reads more than its own row"),
        ("seats > id", "sum(id) > 1", "reads more than its own row"),
        ("seats > id", "id > 1; DROP TABLE x", "no expression that is true or false"),
        ("seats > id", "nosuch(id) > 1", "DuckDB refused"),
        ("'^[A-Z]'", "'(?=x)'", "DuckDB refused"),
        ("2013-01-01", "yesterday", "no date or time"),
    ],
)
def test_refuses_a_contract_that_cannot_be_checked(
    tables: Tables, ref: TableRef, tmp_path: pathlib.Path, old: str, new: str, says: str
) -> None:
    assert old in CONTRACT

    with pytest.raises(UserError, match=says.replace("(", r"\(")):
        judged(tables, ref, tmp_path, trips(), CONTRACT.replace(old, new))


@pytest.mark.usefixtures("environment")
class TestFace:
    def run(
        self, ref: TableRef, tmp_path: pathlib.Path, text: str = CONTRACT
    ) -> tuple[dict[str, Any], str]:
        self.report = dsl.HTML(uri=str(tmp_path / "deep" / "report.html"))
        made: tuple[dict[str, Any], str] = validate.python_func(str(ref), text, self.report)
        return made

    def test_a_refused_table_is_a_verdict_and_a_page(
        self, tables: Tables, ref: TableRef, tmp_path: pathlib.Path
    ) -> None:
        pinned = tables.replace(ref, trips(id=[1, 1, 2, 3], origin=["<b>", "EWR", None, None]))

        verdict, decision = self.run(pinned, tmp_path)

        page = pathlib.Path(self.report.path).read_text()
        assert decision == verdict["decision"] == "refuse"
        assert "key id" in page
        assert "<b>" not in page
        assert self.report.metadata["rows"] == 4

    def test_a_contract_with_an_unknown_column_exits_2(
        self,
        tables: Tables,
        ref: TableRef,
        tmp_path: pathlib.Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        pinned = tables.replace(ref, trips())

        with pytest.raises(SystemExit) as exit_:
            self.run(pinned, tmp_path, CONTRACT.replace("name: seats", "name: seat"))

        assert exit_.value.code == 2
        assert "did you mean 'seats'" in capsys.readouterr().err
