import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from kfp import dsl

from components.evaluation import labels
from components.evaluation.bless import champion, judge
from components.evaluation.bless.component import bless
from components.evaluation.bless.duel import Contender
from components.evaluation.bless.expectations import Expectations
from components.evaluation.bless.judge import Blessing
from components.evaluation.labels import Labelled
from components.evaluation.runtime import ServedModel
from components.foundation.errors import UserError
from components.foundation.sealing import channel
from components.foundation.sealing.keys import KeyRing
from components.foundation.sealing.release import seal
from components.foundation.storage import ObjectStore
from components.foundation.verdict import Decision

Model = Callable[..., ServedModel]
Make = Callable[..., pa.Table]

NOTHING = "resamples: 100"


@pytest.fixture
def labelled(rows: Make) -> Labelled:
    return labels.labelled(rows(4000), label="late", source="t@1")


def _judge(
    rows: Labelled, ours: Contender, theirs: Contender | None = None, yaml: str = NOTHING
) -> Blessing:
    asked = Expectations.parse(yaml)
    return judge.judge(rows, ours, theirs, model="delays", asked=asked, seed=1)


def _contender(rows: Labelled, model: ServedModel) -> Contender:
    return champion.contender("champion 1", model, rows)


def test_accepts_a_first_model_that_beats_the_base_rate(model: Model, labelled: Labelled) -> None:
    found = _judge(labelled, _contender(labelled, model()))

    assert found.verdict.decision is Decision.ACCEPT
    assert "better than the base rate" in found.verdict.reason
    assert found.verdict.judged == model().digest
    assert found.verdict.evidence["champion"]["auc"] == 0.5


def test_refuses_a_first_model_that_knows_less_than_the_base_rate(
    model: Model, labelled: Labelled
) -> None:
    found = _judge(labelled, _contender(labelled, model("wrong", slope=-1)))

    assert found.verdict.decision is Decision.REFUSE
    assert "worse than the base rate" in found.verdict.reason


def test_accepts_a_challenger_that_is_better_and_refuses_it_the_other_way_round(
    model: Model, labelled: Labelled
) -> None:
    true = _contender(labelled, model())
    flat = _contender(labelled, model("flat", slope=0.3, offset=-0.9))

    assert _judge(labelled, true, flat).verdict.decision is Decision.ACCEPT
    assert _judge(labelled, flat, true).verdict.decision is Decision.REFUSE


def test_cannot_tell_models_apart_that_differ_by_a_hair(model: Model, labelled: Labelled) -> None:
    true = _contender(labelled, model())
    other = _contender(labelled, model("other", slope=1.02, offset=-1.01))

    found = _judge(labelled, other, true)

    assert found.verdict.decision is Decision.INCONCLUSIVE
    assert "cannot be told from champion 1" in found.verdict.reason


def test_a_margin_lets_a_model_pass_that_is_not_worse(model: Model, labelled: Labelled) -> None:
    true = _contender(labelled, model())
    other = _contender(labelled, model("other", slope=1.02, offset=-1.01))

    found = _judge(labelled, other, true, NOTHING + "\nchampion: {margin: 0.01}")

    assert found.verdict.decision is Decision.ACCEPT
    assert "not worse than champion 1 by 0.01" in found.verdict.reason


def test_says_that_the_challenger_is_the_champion_already(model: Model, labelled: Labelled) -> None:
    true = _contender(labelled, model())

    found = _judge(labelled, true, true)

    assert found.verdict.decision is Decision.INCONCLUSIVE
    assert "is the champion already" in found.verdict.reason


@pytest.mark.parametrize(
    ("yaml", "reason"),
    [
        ("minimum: {auc: 0.99}", "auc of all rows is 0.7"),
        ("maximum: {log_loss: 0.1}", "expected at most 0.1"),
        ("slices: {columns: [airport], minimum: {auc: 0.99}}", "auc of airport=AUH is"),
    ],
    ids=["minimum", "maximum", "slice"],
)
def test_refuses_a_better_model_below_a_floor(
    model: Model, labelled: Labelled, yaml: str, reason: str
) -> None:
    found = _judge(labelled, _contender(labelled, model()), yaml=f"{NOTHING}\n{yaml}")

    assert found.verdict.decision is Decision.REFUSE
    assert reason in found.verdict.reason
    assert found.broken


def test_small_slices_are_not_judged(model: Model, labelled: Labelled) -> None:
    yaml = f"{NOTHING}\nslices: {{columns: [airport], rows: 9999, minimum: {{auc: 0.99}}}}"

    found = _judge(labelled, _contender(labelled, model()), yaml=yaml)

    assert found.verdict.decision is Decision.ACCEPT


def test_equal_models_are_seldom_called_better(rows: Make) -> None:
    """Two noisy copies of the truth, 200 trials: at most 5 % may be accepted, plus chance."""
    accepted = 0
    for trial in range(200):
        some = labels.labelled(rows(500, trial), label="late", source="t@1")
        random = np.random.default_rng(1000 + trial)
        true = 1 / (1 + np.exp(1 - some.table.column("wind").to_numpy()))
        one, two = (np.clip(true + random.normal(0, 0.05, 490), 0.01, 0.99) for _ in range(2))
        found = _judge(some, Contender("one", "1", one), Contender("two", "2", two))
        accepted += found.verdict.decision is Decision.ACCEPT

    assert accepted <= 12  # 2.5 % expected; more than 12 of 200 has a chance below 0.2 %


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("minimun: {auc: 0.5}", "did you mean 'minimum'"),
        ("minimum: {acu: 0.5}", "did you mean 'auc'"),
        ("minimum: {auc: high}", "expected a number"),
        ("slices: {colums: [x]}", "did you mean 'columns'"),
        ("champion: {margin: -1}", "expected 0 or more"),
        ("resamples: 0", "expected a whole number above 0"),
        ("- auc", "expected names with values"),
        ("minimum: {auc", "not YAML"),
    ],
)
def test_refuses_expectations_with_a_typo(yaml: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Expectations.parse(yaml)


@pytest.fixture
def keys(environment: None, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> KeyRing:
    monkeypatch.setenv("FALAJ_KEYS", str(tmp_path / "keys"))
    return KeyRing.create(tmp_path / "keys")


@pytest.fixture
def run(
    test_table: str, keys: KeyRing, unique: str, tmp_path: pathlib.Path
) -> Callable[[ServedModel], Any]:
    def bless_it(challenger: ServedModel) -> Any:
        return bless.python_func(
            challenger=dsl.Model(uri=str(challenger.folder)),
            test=test_table,
            label="late",
            model_name=unique,
            expectations=NOTHING + "\ngroups: day\nslices: {columns: [airport]}",
            report=dsl.HTML(uri=str(tmp_path / "bless.html")),
        )

    return bless_it


def test_a_sealed_champion_is_opened_and_fought(
    run: Any, model: Model, store: ObjectStore, keys: KeyRing, unique: str, tmp_path: pathlib.Path
) -> None:
    flat = model("flat", slope=0.3, offset=-0.9)
    _, first = run(flat)
    release = seal(flat.folder, model=unique, facts={}, store=store, keys=keys)
    channel.move(unique, release.uri, store=store, keys=keys, reason="first")

    verdict, better = run(model())
    _, same = run(flat)

    assert (first, better, same) == ("accept", "accept", "inconclusive")
    assert f"better than champion {release.version}" in verdict["reason"]
    assert "airport=AUH" in (tmp_path / "bless.html").read_text()


def test_a_tampered_champion_stops_the_judge(
    run: Any, model: Model, store: ObjectStore, keys: KeyRing, unique: str
) -> None:
    flat = model("flat", slope=0.3, offset=-0.9)
    release = seal(flat.folder, model=unique, facts={}, store=store, keys=keys)
    channel.move(unique, release.uri, store=store, keys=keys, reason="first")
    target = next(
        item.address
        for item in store.list(release.location.address)
        if item.address.key.endswith("model.onnx")
    )
    data = bytearray(store.get(target))
    data[len(data) // 2] ^= 1
    store.put(target, bytes(data))

    with pytest.raises(SystemExit) as ended:
        run(model())

    assert ended.value.code == 3
