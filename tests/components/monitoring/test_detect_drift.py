import json
import pathlib

import numpy as np
import pyarrow as pa
import pytest
from kfp import dsl

from components.foundation.errors import UserError
from components.foundation.statistics.multiplicity import Correction
from components.foundation.verdict import Decision, Verdict
from components.monitoring.detect_drift import drift, report
from components.monitoring.detect_drift.component import detect_drift
from components.preparation.profile.profile import Profile

LEVELS = np.array([f"level {i:02d}" for i in range(40)])
WEIGHTS = 1 / np.arange(1, 41) / (1 / np.arange(1, 41)).sum()


def rows(
    random: np.random.Generator, size: int, *, shift: float = 0, nulls: float = 0.1
) -> pa.Table:
    """Eight numeric columns of several shapes and two of levels; `shift` moves the first, in sd."""
    columns: dict[str, pa.Array] = {  # type: ignore[type-arg] # of several types
        "moved": pa.array(random.normal(shift, 1, size)),
        "score": pa.array(random.beta(2, 5, size)),
        "holes": pa.array(random.normal(size=size), mask=random.random(size) < nulls),
        "month": pa.array(random.integers(1, 13, size)),
        "word": pa.array(random.choice(LEVELS, size, p=WEIGHTS)),
    }
    for i in range(5):
        columns[f"gamma {i}"] = pa.array(random.gamma(2, 10.0**i, size))
    return pa.table(columns)


def described(reference: pa.Table, window: pa.Table) -> tuple[Profile, Profile]:
    shape = Profile.shaped(reference, reference.column_names)
    return shape.update(reference), shape.update(window)


def judged(seed: int, size: int, *, shift: float = 0, nulls: float = 0.1) -> Verdict:
    random = np.random.default_rng(seed)
    before, after = described(rows(random, size), rows(random, size, shift=shift, nulls=nulls))
    return drift.judge(before, after, subject="test")


@pytest.mark.parametrize(
    ("size", "seeds"),
    [
        (5_000, 60),
        (20_000, 20),
        pytest.param(5_000, 1000, marks=pytest.mark.slow),
        pytest.param(20_000, 400, marks=pytest.mark.slow),
        pytest.param(200_000, 60, marks=pytest.mark.slow),
    ],
)
def test_raises_no_alarm_when_nothing_moved(size: int, seeds: int) -> None:
    """Alpha is 1 % a window; more alarms than 1 % + 4 sd come by chance once in 10,000 runs."""
    alarms = [seed for seed in range(seeds) if not judged(seed, size).passes]

    assert len(alarms) <= 0.01 * seeds + 4 * np.sqrt(0.01 * 0.99 * seeds)


@pytest.mark.parametrize("size", [5_000, 20_000, 200_000])
@pytest.mark.parametrize("seed", range(3))
def test_finds_a_shift_of_a_third_of_a_deviation_and_only_that(size: int, seed: int) -> None:
    verdict = judged(seed, size, shift=0.3)

    assert verdict.decision is Decision.DRIFT
    assert verdict.evidence["drifted"] == ["moved"]


@pytest.mark.parametrize("size", [5_000, 200_000])
@pytest.mark.parametrize("seed", range(3))
def test_a_shift_too_small_to_matter_is_not_drift(size: int, seed: int) -> None:
    assert judged(seed, size, shift=0.005).decision is Decision.STABLE


def test_what_is_certain_but_too_small_to_matter_is_not_drift() -> None:
    verdict = judged(0, 200_000, shift=0.05)

    moved = next(f for f in verdict.evidence["findings"] if f["column"] == "moved" and f["noise"])
    assert verdict.decision is Decision.STABLE
    assert moved["p_adjusted"] < 1e-6


def test_the_noise_floor_holds_where_the_effect_floor_is_taken_away() -> None:
    """Without an effect floor alpha alone holds back: 5 % of 400 windows, + 3 sd."""
    random = np.random.default_rng(11)
    shape = Profile.shaped(rows(random, 2_000), ["moved", "month", "word"])
    floors = drift.Floors(alpha=0.05, effect=0, share=0, rows=1)
    alarms = 0
    for _ in range(400):
        before = shape.update(rows(random, 2_000))
        after = shape.update(rows(random, 2_000))
        alarms += any(f.drifted for f in drift.compare(before, after, floors))

    assert alarms / 400 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


def test_nulls_that_come_are_drift_of_their_own() -> None:
    verdict = judged(0, 5_000, nulls=0.15)

    assert verdict.evidence["drifted"] == ["holes"]
    assert "nulls by 0.0" in verdict.reason


def test_levels_never_seen_before_are_drift_of_their_own() -> None:
    random = np.random.default_rng(0)
    reference, window = rows(random, 5_000), rows(random, 5_000)
    words = ["new"] * 200 + [str(word) for word in window["word"].to_pylist()[200:]]
    window = window.set_column(window.column_names.index("word"), "word", pa.array(words))

    verdict = drift.judge(*described(reference, window), subject="test")

    found = {(f["column"], f["question"]) for f in verdict.evidence["findings"] if f["drifted"]}
    assert ("word", "unseen levels") in found


def test_the_score_is_listed_first_and_others_by_effect() -> None:
    random = np.random.default_rng(0)
    reference, window = rows(random, 5_000), rows(random, 5_000)
    moved = {"score": 0.02, "gamma 0": 20.0, "moved": 0.7}
    for name, by in moved.items():
        values = pa.array(window[name].to_numpy() + by)
        window = window.set_column(window.column_names.index(name), name, values)

    verdict = drift.judge(*described(reference, window), subject="test")

    assert verdict.evidence["findings"][0]["column"] == "score"
    assert verdict.evidence["drifted"] in (["score", "gamma 0", "moved"], ["gamma 0", "moved"])


def test_a_change_of_units_changes_no_verdict() -> None:
    random = np.random.default_rng(5)
    metres, kilometres = [], []
    for shift in (0, 0.3):
        values = random.normal(shift, 1, 5_000)
        metres.append(pa.table({"x": pa.array(values)}))
        kilometres.append(pa.table({"x": pa.array(values / 1e5)}))

    verdicts = [drift.judge(*described(*pair), subject="x") for pair in (metres, kilometres)]

    effects = [v.evidence["findings"][0]["effect"] for v in verdicts]
    assert verdicts[0].decision is verdicts[1].decision is Decision.DRIFT
    assert effects[0] == pytest.approx(effects[1], rel=0.02)


def test_too_few_rows_are_inconclusive_never_stable() -> None:
    random = np.random.default_rng(0)

    verdict = drift.judge(*described(rows(random, 5_000), rows(random, 499)), subject="test")

    assert verdict.decision is Decision.INCONCLUSIVE
    assert not verdict.passes


def test_a_column_that_went_silent_is_drift() -> None:
    assert "holes" in judged(0, 5_000, nulls=1.0).evidence["drifted"]


def test_refuses_a_window_with_bins_of_its_own() -> None:
    random = np.random.default_rng(0)
    before, _ = described(rows(random, 1_000), rows(random, 1_000))
    other, _ = described(rows(random, 1_000), rows(random, 1_000))

    with pytest.raises(UserError, match="with the same reference"):
        drift.judge(before, other, subject="test")


def test_evidence_is_plain_json_and_the_page_shows_it() -> None:
    verdict = judged(0, 5_000, shift=0.3)

    assert json.loads(json.dumps(verdict.to_dict(), allow_nan=False)) == verdict.to_dict()
    assert "moved" in report.render(verdict)


@pytest.mark.usefixtures("environment")
class TestFace:
    @pytest.fixture
    def profiles(self, tmp_path: pathlib.Path) -> list[dsl.Artifact]:
        random = np.random.default_rng(3)
        made = described(rows(random, 5_000), rows(random, 5_000, shift=0.3))
        artifacts = []
        for name, one in zip(("reference", "window"), made, strict=True):
            one.write(tmp_path / name)
            artifacts.append(dsl.Artifact(uri=str(tmp_path / name)))
        return artifacts

    def test_drift_is_a_verdict_and_a_page(
        self, profiles: list[dsl.Artifact], tmp_path: pathlib.Path
    ) -> None:
        page = dsl.HTML(uri=str(tmp_path / "report.html"))

        verdict, decision = detect_drift.python_func(
            *profiles, page, subject="delays", correction=str(Correction.BONFERRONI)
        )

        assert decision == verdict["decision"] == "drift"
        assert verdict["subject"] == "drift delays"
        assert "PSI" in pathlib.Path(page.path).read_text()

    @pytest.mark.parametrize(
        ("given", "says"),
        [
            ({"correction": "bonferoni"}, "did you mean 'bonferroni'"),
            ({"alpha": 0.0}, "expected 0 < alpha < 1"),
        ],
    )
    def test_a_wrong_setting_exits_2(
        self,
        profiles: list[dsl.Artifact],
        tmp_path: pathlib.Path,
        capsys: pytest.CaptureFixture[str],
        given: dict[str, object],
        says: str,
    ) -> None:
        with pytest.raises(SystemExit) as exit_:
            detect_drift.python_func(*profiles, dsl.HTML(uri=str(tmp_path / "r")), **given)

        assert exit_.value.code == 2
        assert says in capsys.readouterr().err
