import pathlib
from collections.abc import Callable
from typing import Any

import pytest
from kfp import dsl

from components.features.build_training_set import request
from components.features.build_training_set.component import build_training_set
from components.foundation.audit import AuditLog
from components.foundation.errors import Refused, UserError
from components.foundation.storage import ObjectStore
from components.foundation.tables import TableRef, Tables

COLUMNS = ["origin", "event_timestamp", "distance"]


@pytest.fixture
def build(small: Any, tmp_path: pathlib.Path) -> Callable[..., tuple[str, int]]:
    """Apply the definitions once, and return the component with its usual arguments."""
    from components.features.apply_features.apply import apply
    from components.features.repository import Repository
    from components.features.settings import object_store

    small.observe(("EWR", 0, 0, 1.0), ("EWR", 2, 5, 9.0), ("JFK", 4, 4, 3.0))
    small.fly(("EWR", 3, 1), ("EWR", 3, 1), ("JFK", 3, 0), ("JFK", 5, None), (None, 5, 0))
    environment = object_store().environment()
    registry = apply(Repository.load(small.package, environment, cache=tmp_path / "c")).registry

    def build(**arguments: Any) -> tuple[str, int]:
        usual = {
            "repo": small.package,
            "registry": str(registry),
            "entities": f"{small.flights.uri}@latest",
            "feature_service": "lateness",
            "columns": COLUMNS,
            "label": "late",
            "target": f"s3://falaj-features/{small.package}/training",
            "report": dsl.HTML(uri=str(tmp_path / "report.html")),
        }
        made: tuple[str, int] = build_training_set.python_func(**{**usual, **arguments})
        return made

    return build


def test_rows_out_are_rows_in_with_what_was_known_then(
    build: Callable[..., Any], tables: Tables
) -> None:
    table, rows = build()

    written = tables.read(TableRef.parse(table))
    assert rows == written.num_rows == 5
    assert written.column_names == [*COLUMNS, "late", "temp", "gusts"]
    assert written.column("distance").to_pylist() == [100.0, 101.0, 102.0, 103.0, 104.0]
    # 9.0 is for 14:00 but was written at 17:00, after the flights of 15:00.
    assert written.column("temp").to_pylist() == [1.0, 1.0, None, 3.0, None]


def test_the_same_request_writes_nothing_the_second_time(build: Callable[..., Any]) -> None:
    assert build() == build()


def test_a_request_of_before_writes_again_if_the_table_has_moved_on(
    build: Callable[..., Any], small: Any, tables: Tables
) -> None:
    weather = str(tables.resolve(small.weather))
    first, _ = build(tables=[weather])
    small.observe(("JFK", 2, 2, 7.0))

    second, _ = build()
    third, _ = build(tables=[weather])

    temps = [tables.read(TableRef.parse(t)).column("temp").to_pylist() for t in (first, second)]
    assert temps[0][2] is None
    assert temps[1][2] == 7.0
    assert tables.read(TableRef.parse(third)).equals(tables.read(TableRef.parse(first)))
    assert len({first, second, third}) == 3


def test_joins_while_another_step_materialises(
    build: Callable[..., Any], small: Any, tmp_path: pathlib.Path
) -> None:
    """Feast writes that it does so into the registry, and a killed step leaves it there."""
    from feast.feature_view import FeatureViewState

    from components.features.repository import Repository
    from components.features.settings import object_store

    environment = object_store().environment()
    store = Repository.load(small.package, environment, cache=tmp_path / "c").store()
    for state in ("CREATED", "GENERATED", "MATERIALIZING"):
        store.set_feature_view_state("weather", FeatureViewState[state])

    assert build()[1] == 5


def test_a_condition_chooses_the_rows(build: Callable[..., Any]) -> None:
    _, rows = build(where="late IS NOT NULL AND event_timestamp < TIMESTAMPTZ '2013-01-01 16:00Z'")

    assert rows == 3


def test_a_set_to_be_scored_has_no_label(build: Callable[..., Any], tables: Tables) -> None:
    table, _ = build(label="")

    assert "late" not in tables.read(TableRef.parse(table)).column_names


def test_the_report_counts_where_features_come_from(
    build: Callable[..., Any], tmp_path: pathlib.Path, store: ObjectStore
) -> None:
    build()

    text = (tmp_path / "report.html").read_text()
    assert "all 5 rows have only what was known at their time" in text
    entry = list(AuditLog(store).entries())[-1]
    facts = entry.body["evidence"]["views"][0]
    assert (facts["rows"], facts["matched"], facts["newer"], facts["written_later"]) == (5, 3, 0, 0)
    assert facts["nulls"]["temp"] == pytest.approx(2 / 5)


@pytest.mark.parametrize("leak", ["__time:weather", "__known:weather"])
def test_a_planted_leak_is_counted_and_nothing_is_written(
    build: Callable[..., Any],
    small: Any,
    tables: Tables,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    leak: str,
) -> None:
    from components.features.offline_store import asof

    original = asof.join

    def leaking(connection: Any, *given: Any, **named: Any) -> Any:
        joined = original(connection, *given, **named)
        connection.execute(f'UPDATE joined SET "{leak}" = "__time" + 1 WHERE "__row" <= 2')
        return joined

    monkeypatch.setattr(asof, "join", leaking)
    with pytest.raises(SystemExit) as stopped:
        build()

    assert stopped.value.code == Refused.exit_code
    assert "2 values were unknown at their row" in (tmp_path / "report.html").read_text()
    assert not tables.exists(TableRef("falaj-features", f"{small.package}/training"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"feature_service": "latenes"}, "did you mean 'lateness'?"),
        ({"label": "lat"}, "did you mean 'late'?"),
        ({"columns": ["origin", "distance"]}, "no column 'event_timestamp'"),
        ({"columns": ["event_timestamp"]}, "lack its key 'origin'"),
        ({"where": "1; DROP TABLE x"}, "expected one condition"),
    ],
    ids=["service", "label", "no time", "no key", "injection"],
)
def test_names_what_is_wrong_with_a_request(
    build: Callable[..., Any],
    capsys: pytest.CaptureFixture[str],
    arguments: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(SystemExit) as stopped:
        build(**arguments)

    assert stopped.value.code == UserError.exit_code
    assert message in capsys.readouterr().err


def test_refuses_definitions_that_changed_since(
    build: Callable[..., Any], capsys: pytest.CaptureFixture[str], small: Any
) -> None:
    other = f"s3://falaj-features/{small.package}/registry.db#sha256:{'0' * 64}"

    with pytest.raises(SystemExit) as stopped:
        build(registry=other)

    assert stopped.value.code == UserError.exit_code
    assert "run apply_features again" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        "late IS NOT NULL",
        "late = 1 AND (origin IN ('EWR', 'JFK') OR origin LIKE 'L%')",
        "abs(late) BETWEEN 0 AND 1 -- a remark",
        "late",
    ],
)
def test_a_condition_on_known_columns_passes(text: str) -> None:
    assert "remark" not in request.condition(text, ["late", "origin"])


@pytest.mark.parametrize(
    "text",
    [
        "late IS NOT NULL; DELETE FROM t",
        "late IN (SELECT 1)",
        "EXISTS (SELECT * FROM read_text('/etc/passwd'))",
        "SELECT 1",
        "late = 1) OR (1 = 1",
        "late = ?",
        "late = ",
        "lat = 1",
        "other.late = 1",
        "",
    ],
)
def test_anything_but_one_condition_is_refused(text: str) -> None:
    with pytest.raises(UserError):
        request.condition(text, ["late", "origin"])
