"""Models of numbers: evaluated, and blessed by what a row's error is worth."""

import math

import numpy as np
import pyarrow as pa
import pytest

from components.evaluation import labels
from components.evaluation.bless import judge
from components.evaluation.bless import report as bless_report
from components.evaluation.bless.duel import Contender
from components.evaluation.bless.expectations import Expectations
from components.evaluation.bless.judge import Blessing
from components.evaluation.evaluate import measure
from components.evaluation.evaluate import report as evaluate_report
from components.evaluation.evaluate.measure import Evaluation, Settings
from components.evaluation.labels import Labelled, Truth
from components.foundation.errors import UserError
from components.foundation.signature import Signature, Tensor
from components.foundation.statistics.task import Task
from components.foundation.tables import TableRef, Tables
from components.foundation.verdict import Decision

NOTHING = "resamples: 100"
NOISE = 10.0


def _rows(count: int = 1000, seed: int = 1) -> Labelled:
    random = np.random.default_rng(seed)
    truth = random.normal(100, 30, count)
    table = pa.table(
        {
            "truth": pa.array(truth),
            "rent": pa.array(
                truth + random.normal(0, NOISE, count), mask=np.arange(count) % 50 == 0
            ),
            "city": pa.array(np.where(np.arange(count) % 3, "AUH", "DXB")),
            "day": [f"2024-06-{i * 20 // count + 1:02}" for i in range(count)],
        }
    )
    return labels.labelled(table, label="rent", source="t@1", task=Task.REGRESSION)


def _truth(rows: Labelled) -> np.ndarray:
    return rows.table.column("truth").to_numpy()


def _model(rows: Labelled, *, off: float = 0.0, noise: float = 0.0, seed: int = 9) -> Contender:
    random = np.random.default_rng(seed)
    scores = _truth(rows) + off + random.normal(0, noise, rows.labels.size)
    return Contender(f"champion {seed}", f"sha256:{off}{noise}{seed}", scores)


def _judge(
    rows: Labelled, ours: Contender, theirs: Contender | None = None, yaml: str = NOTHING
) -> Blessing:
    asked = Expectations.parse(yaml, Task.REGRESSION)
    return judge.judge(rows, ours, theirs, model="rents", asked=asked, seed=1)


def _measure(rows: Labelled, scores: np.ndarray, **more: object) -> Evaluation:
    settings = Settings(**{"threshold": 0.5, "resamples": 100, "seed": 1, **more})  # type: ignore[arg-type]  # a test's own words
    return measure.evaluate(rows, scores, settings, model="sha256:1")


def test_who_knows_the_truth_errs_by_the_noise_within_the_intervals() -> None:
    rows = _rows(4000)
    found = _measure(rows, _truth(rows), slices=["city"])

    values = found.metrics()
    assert values["rmse"] == pytest.approx(NOISE, rel=0.05)
    assert values["mae"] == pytest.approx(NOISE * math.sqrt(2 / math.pi), rel=0.05)
    assert values["r2"] == pytest.approx(1 - 100 / 1000, abs=0.02)
    assert values["rows_without_label"] == 80
    for name, interval in found.intervals.items():
        assert interval.low <= values[name] <= interval.high, name
    assert {part.name for part in found.slices} == {"city=AUH", "city=DXB"}


def test_a_band_promised_at_training_is_held_to_what_it_covers() -> None:
    rows = _rows(4000)
    ninety = 1.645 * NOISE

    assert _measure(rows, _truth(rows), band=(-ninety, ninety)).metrics()["coverage"] == (
        pytest.approx(0.9, abs=0.02)
    )
    assert "coverage" not in _measure(rows, _truth(rows)).metrics()


def test_the_page_shows_predicted_against_observed_and_no_confusion() -> None:
    rows = _rows()
    found = _measure(rows, _truth(rows), slices=["city"], band=(-16.0, 16.0))
    text = evaluate_report.render(found)

    assert found.confusions() == []
    for words in ("Observed by prediction", "R²", "By tenths of the prediction", "lie from -16"):
        assert words in text
    assert "Confusion" not in text


def test_a_first_model_has_to_beat_the_mean() -> None:
    rows = _rows()
    good, blind = _judge(rows, _model(rows)), _judge(rows, _model(rows, noise=60))

    assert good.verdict.decision is Decision.ACCEPT
    assert good.verdict.reason.startswith("better than the mean: RMSE -")
    assert good.verdict.evidence["champion"]["r2"] == pytest.approx(0, abs=1e-9)
    assert blind.verdict.decision is Decision.REFUSE
    assert "R²" in bless_report.render(good)


def test_accepts_a_better_challenger_and_refuses_it_the_other_way_round() -> None:
    rows = _rows()
    better, worse = _model(rows), _model(rows, noise=6)

    assert _judge(rows, better, worse).verdict.decision is Decision.ACCEPT
    assert _judge(rows, worse, better).verdict.decision is Decision.REFUSE


def test_a_margin_is_in_the_labels_unit() -> None:
    rows = _rows()
    better, hardly_worse = _model(rows), _model(rows, noise=1.5)

    kept = _judge(rows, hardly_worse, better, "champion: {margin: 1.0}")
    refused = _judge(rows, _model(rows, noise=9), better, "champion: {margin: 1.0}")
    assert kept.verdict.decision is Decision.ACCEPT
    assert "not worse than champion 9 by 1.0" in kept.verdict.reason
    assert refused.verdict.decision is Decision.REFUSE


def test_what_decides_may_be_the_mean_absolute_error() -> None:
    rows = _rows()
    found = _judge(rows, _model(rows), _model(rows, noise=6), "champion: {by: mae}")

    assert found.verdict.evidence["decides"] == "mae"
    assert "mean absolute error -" in found.verdict.reason


def test_a_lower_rmse_does_not_hide_a_typical_error_that_grew() -> None:
    rows = _rows(4000)
    wild = _truth(rows).copy()
    wild[::100] += 400  # few rows are far off, all others perfect
    theirs = Contender("champion 1", "sha256:wild", wild)
    found = _judge(rows, _model(rows, off=14), theirs)

    assert found.duel.differences["rmse"].high < 0
    assert found.verdict.decision is Decision.REFUSE
    assert found.verdict.reason.startswith("worse than champion 1: mean absolute error +")


@pytest.mark.parametrize(
    ("yaml", "words"),
    [
        ("minimum: {r2: 0.99}", "r2 of all rows is 0.89"),
        ("maximum: {rmse: 5}", "expected at most 5"),
        ("slices: {columns: [city], rows: 50, maximum: {mae: 1}}", "mae of city="),
        ("minimum: {coverage: 0.8}", "coverage of all rows is unknown"),
    ],
    ids=["r2", "rmse", "slice", "no band"],
)
def test_expectations_are_held_to(yaml: str, words: str) -> None:
    rows = _rows()
    found = _judge(rows, _model(rows), yaml=f"{yaml}\n{NOTHING}")

    assert found.verdict.decision is Decision.REFUSE
    assert words in found.verdict.reason


@pytest.mark.parametrize(
    "yaml", ["minimum: {auc: 0.6}", "champion: {by: r2}"], ids=["another task's", "no loss"]
)
def test_refuses_expectations_of_another_task(yaml: str) -> None:
    with pytest.raises(UserError, match="expectations"):
        Expectations.parse(yaml, Task.REGRESSION)


def test_equal_models_are_rarely_promoted() -> None:
    """Of 300 duels of equals 2.5 % are promoted on average; more than 17 has p < 0.001."""
    promoted = 0
    for trial in range(300):
        rows = _rows(300, seed=trial)
        ours, theirs = (_model(rows, noise=5, seed=1000 * side + trial) for side in (1, 2))
        promoted += _judge(rows, ours, theirs).verdict.decision is Decision.ACCEPT

    assert promoted <= 17


def test_equal_models_that_err_by_day_are_rarely_promoted_if_days_are_groups() -> None:
    """As above over 20 days, whose few groups make intervals a little short: at most 12 of 120."""

    def judged(trial: int, yaml: str) -> bool:
        rows = _rows(400, seed=trial)
        days = np.random.default_rng(trial).normal(0, 8, (2, 20))
        place = rows.coded("day")[1]
        ours, theirs = (
            Contender(f"champion {i}", f"sha256:{i}", _truth(rows) + days[i][place]) for i in (0, 1)
        )
        return _judge(rows, ours, theirs, yaml).verdict.decision is Decision.ACCEPT

    together = sum(judged(trial, f"groups: day\n{NOTHING}") for trial in range(120))
    alone = sum(judged(trial, NOTHING) for trial in range(120))
    assert together <= 12
    assert alone > 2 * together


def test_refuses_a_model_of_another_task(tables: Tables, unique: str) -> None:
    ref = tables.replace(TableRef("falaj-features", f"{unique}/test"), pa.table({"x": [1.0]}))
    classifier = Signature((Tensor("x", "FP32"),), (Tensor("probability", "FP32"),))

    with pytest.raises(UserError, match=r"gives 'probability', so it is of task classification"):
        labels.read(tables, ref, classifier, Truth("y", Task.REGRESSION))
