import datetime
import json
import pathlib

import numpy as np
import pyarrow as pa
import pytest
from kfp import dsl

from components.foundation.errors import UserError
from components.foundation.statistics import metrics
from components.foundation.statistics.task import Task
from components.foundation.tables import TableRef, Tables
from components.foundation.verdict import Decision, Verdict
from components.monitoring.measure_performance import join, realised, report
from components.monitoring.measure_performance.component import measure_performance

START = datetime.datetime(2013, 7, 1, tzinfo=datetime.UTC)
SIZE = 1000  # predictions a month, July and August


class World:
    """Two months of predictions by a model that knows something, and their labels."""

    def __init__(self, tables: Tables, unique: str, cache: pathlib.Path) -> None:
        self.tables, self.unique, self.cache = tables, unique, cache
        random = np.random.default_rng(4)
        self.scores = random.beta(2, 3, 2 * SIZE)
        self.labels = (random.random(2 * SIZE) < self.scores).astype(int)
        self.times = [
            START + datetime.timedelta(days=31 * (i // SIZE), minutes=40 * (i % SIZE))
            for i in range(2 * SIZE)
        ]

    def observations(self, rows: range = range(2 * SIZE)) -> TableRef:
        table = pa.table(
            {
                "date": pa.array([self.times[i].date() for i in rows], pa.date32()),
                "time": pa.array([self.times[i] for i in rows], pa.timestamp("us", tz="UTC")),
                "id": [f"id{i}" for i in rows],
                "score": pa.array([self.scores[i] for i in rows]),
            }
        )
        ref = TableRef("falaj-curated", f"observations/{self.unique}")
        return self.tables.append(ref, table, by=["date"], transactions={})

    def known(self, rows: range, *, days: int = 31, flip: bool = False) -> TableRef:
        table = pa.table(
            {
                "id": [f"id{i}" for i in rows],
                "label": pa.array([int(self.labels[i]) ^ flip for i in rows], pa.int64()),
                "known_at": pa.array(
                    [self.times[i] + datetime.timedelta(days=days) for i in rows],
                    pa.timestamp("us", tz="UTC"),
                ),
            }
        )
        ref = TableRef("falaj-curated", f"{self.unique}-labels")
        return self.tables.append(ref, table, transactions={})

    def judge(
        self, seen: TableRef, known: TableRef, *, since: str = "", until: str = "", auc: float = 0.6
    ) -> tuple[list[realised.Window], Verdict]:
        files = [self.tables.files(ref, self.cache) for ref in (seen, known)]
        floors = realised.Floors(auc=auc)
        windows = realised.measure(
            *files, by=join.By.MONTH, since=since, until=until, floors=floors
        )
        return windows, realised.judge(windows, subject="test", floors=floors, judged=["a", "b"])


@pytest.fixture
def world(tables: Tables, unique: str, tmp_path: pathlib.Path) -> World:
    return World(tables, unique, tmp_path)


EVERY, JULY = range(2 * SIZE), range(SIZE)


def test_measures_each_month_against_the_labels_that_came(world: World) -> None:
    windows, verdict = world.judge(world.observations(), world.known(EVERY))

    assert [w.name for w in windows] == ["2013-07", "2013-08"]
    assert [w.coverage for w in windows] == [1.0, 1.0]
    expected = metrics.Scores.of(world.labels[:SIZE], world.scores[:SIZE])
    assert windows[0].to_dict()["auc"] == pytest.approx(expected.auc)
    assert windows[0].to_dict()["brier"] == pytest.approx(expected.brier)
    assert windows[0].auc.low < expected.auc < windows[0].auc.high
    assert verdict.decision is Decision.STABLE


def test_missing_labels_are_inconclusive_never_a_pass(world: World) -> None:
    windows, verdict = world.judge(world.observations(), world.known(JULY))

    assert [w.coverage for w in windows] == [1.0, 0.0]
    assert verdict.decision is Decision.INCONCLUSIVE
    assert not verdict.passes
    assert "2013-08, 0 of 1000 predictions" in verdict.reason


def test_a_part_of_the_labels_may_be_a_biased_part(world: World) -> None:
    _, verdict = world.judge(world.observations(JULY), world.known(range(790)))

    assert verdict.decision is Decision.INCONCLUSIVE


def test_a_month_by_itself_is_judged_when_its_labels_are_there(world: World) -> None:
    _, verdict = world.judge(world.observations(), world.known(JULY), until="2013-08-01")

    assert verdict.decision is Decision.STABLE


def test_a_floor_missed_beyond_chance_is_drift(world: World) -> None:
    windows, verdict = world.judge(world.observations(), world.known(EVERY, flip=True))

    assert windows[0].auc.high < 0.5
    assert verdict.decision is Decision.DRIFT


def test_a_floor_missed_within_chance_is_inconclusive(world: World) -> None:
    seen, known = world.observations(), world.known(EVERY)
    (july, _), _ = world.judge(seen, known)

    _, verdict = world.judge(seen, known, auc=july.auc.estimate + 0.001, until="2013-08-01")

    assert verdict.decision is Decision.INCONCLUSIVE
    assert "by chance" in verdict.reason


def test_no_predictions_are_inconclusive(world: World) -> None:
    windows, verdict = world.judge(world.observations(), world.known(EVERY), since="2014-01-01")

    assert windows == []
    assert verdict.decision is Decision.INCONCLUSIVE


def test_a_repeated_prediction_and_label_count_once(world: World) -> None:
    once, _ = world.judge(world.observations(), world.known(EVERY))
    again = world.observations(range(500)), world.known(range(500))

    twice, _ = world.judge(*again)

    assert twice == once


def test_the_newest_label_is_the_one_that_counts(world: World) -> None:
    world.known(EVERY, days=31, flip=True)
    corrected = world.known(EVERY, days=40)

    windows, _ = world.judge(world.observations(), corrected)

    assert windows[0].auc.estimate > 0.6


def test_a_month_of_one_class_has_no_ranking_and_is_not_passed(world: World) -> None:
    world.labels[:] = 1

    windows, verdict = world.judge(world.observations(), world.known(EVERY))

    assert windows[0].to_dict()["auc"] is None
    assert verdict.decision is Decision.INCONCLUSIVE


def test_evidence_is_plain_json_and_the_page_shows_it(world: World) -> None:
    _, verdict = world.judge(world.observations(), world.known(JULY))

    assert json.loads(json.dumps(verdict.to_dict(), allow_nan=False)) == verdict.to_dict()
    assert "2013-08" in report.render(verdict)


def test_intervals_hold_the_truth_about_as_often_as_they_say(world: World) -> None:
    """95 % intervals over 120 worlds: at least 88 % hold (95 % - 3.5 sd)."""
    random = np.random.default_rng(0)
    truth = metrics.auc(*_law(random, 400_000))
    held = 0
    for _ in range(120):
        labels, scores = _law(random, 600)
        rows = join.Rows("x", scores, labels, np.arange(600) // 20)
        window = realised.window(rows, realised.Floors())
        held += window.auc.low <= truth <= window.auc.high

    assert held / 120 >= 0.88


def _law(random: np.random.Generator, size: int) -> tuple[metrics.Floats, metrics.Floats]:
    scores = random.beta(2, 3, size)
    return (random.random(size) < scores).astype(float), scores


@pytest.mark.usefixtures("environment")
class TestFace:
    def test_gives_a_verdict_metrics_and_a_page(self, world: World, tmp_path: pathlib.Path) -> None:
        page = dsl.HTML(uri=str(tmp_path / "report.html"))

        verdict, measured = measure_performance.python_func(
            str(world.observations()), str(world.known(EVERY)), page, by="day", min_labels=10
        )

        assert verdict["decision"] == "stable"
        assert measured["windows"][0]["window"] == "2013-07-01"
        assert measured["windows"][0]["predictions"] == 36
        assert "Realised AUC" in pathlib.Path(page.path).read_text()

    @pytest.mark.parametrize(
        ("given", "says"),
        [
            ({"by": "mont"}, "did you mean 'month'"),
            ({"since": "soon"}, "DuckDB refused"),
            ({"min_auc": 60.0}, "expected 0 to 1"),
        ],
    )
    def test_a_wrong_setting_exits_2(
        self,
        world: World,
        tmp_path: pathlib.Path,
        capsys: pytest.CaptureFixture[str],
        given: dict[str, object],
        says: str,
    ) -> None:
        tables = str(world.observations()), str(world.known(JULY))

        with pytest.raises(SystemExit) as exit_:
            measure_performance.python_func(*tables, dsl.HTML(uri=str(tmp_path / "r")), **given)

        assert exit_.value.code == 2
        assert says in capsys.readouterr().err

    def test_a_table_without_ids_exits_2(
        self, world: World, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        labels = str(world.known(JULY))

        with pytest.raises(SystemExit):
            measure_performance.python_func(labels, labels, dsl.HTML(uri=str(tmp_path / "r")))

        assert "has no column 'time'" in capsys.readouterr().err


def test_refuses_floors_that_are_no_shares() -> None:
    with pytest.raises(UserError, match="expected 0 to 1"):
        realised.Floors(coverage=80)


def _months(errors: dict[str, float], *, count: int = 900) -> list[join.Rows]:
    """Months of predictions of 100 give or take 20, off by so much, and ten days each."""
    random, parts = np.random.default_rng(1), np.arange(count) // (count // 15)
    rows = []
    for name, off in errors.items():
        labels = random.normal(100, 20, count)
        rows.append(join.Rows(name, labels + random.normal(0, off, count), labels, parts))
    return rows


def _numbers(ceiling: float, errors: dict[str, float]) -> tuple[list[realised.Window], Verdict]:
    floors = realised.Floors(rmse=ceiling, task=Task.REGRESSION)
    windows = [realised.window(rows, floors) for rows in _months(errors)]
    return windows, realised.judge(windows, subject="rents", floors=floors, judged=["a", "b"])


class TestRegression:
    """Of numbers a window is known by its RMSE, and a ceiling on it."""

    def test_measures_errors_in_the_labels_unit_with_intervals(self) -> None:
        (june,), verdict = _numbers(20.0, {"2024-06": 10})
        measured = june.to_dict()

        assert measured["rmse"] == pytest.approx(10, rel=0.1)
        assert measured["rmse_low"] < 10 < measured["rmse_high"]
        assert {"mae", "mae_low", "r2", "bias_high"} <= set(measured)
        assert "calibration_error" not in measured
        assert verdict.decision is Decision.STABLE
        assert "realised RMSE is at most 20" in verdict.reason

    def test_a_month_above_the_ceiling_beyond_chance_is_drift(self) -> None:
        _, verdict = _numbers(15.0, {"2024-06": 10, "2024-07": 25})

        assert verdict.decision is Decision.DRIFT
        assert "realised RMSE is above 15 in 1 of 2 windows; worst: 2024-07" in verdict.reason
        assert "RMSE, 95 % interval" in report.render(verdict)

    def test_a_month_above_the_ceiling_by_chance_is_not_known_yet(self) -> None:
        (june,), _ = _numbers(20.0, {"2024-06": 10})
        _, verdict = _numbers(june.found.estimate - 0.01, {"2024-06": 10})

        assert verdict.decision is Decision.INCONCLUSIVE
        assert "but may be so by chance" in verdict.reason

    def test_without_a_ceiling_nothing_is_drift(self) -> None:
        _, verdict = _numbers(0.0, {"2024-06": 99})

        assert verdict.decision is Decision.STABLE
        assert "realised RMSE is measured in all 1 windows" in verdict.reason
