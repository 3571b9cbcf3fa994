"""The loop with a learner of a few lines: logistic regression in numpy."""

import json
import pathlib
from dataclasses import dataclass, field

import numpy as np
import pytest

from components.foundation.errors import UserError
from components.training.checkpoints import NoCheckpoints, Saved
from components.training.data import Arrays, Batch, Floats32, Rows
from components.training.loop import Epoch, Fold, History, fit
from components.training.plan import Aim, Length, Plan, Steps


@dataclass
class Regression:
    rate: float = 0.1
    weight: float = 0.0
    bias: float = 0.0
    drift: float = 0.0  # added to the bias each epoch, so that it gets worse
    seen: list[int] = field(default_factory=list)

    def begin(self, epoch: int) -> None:
        self.seen.append(epoch)
        self.bias += self.drift

    def learn(self, batch: Batch) -> float:
        error = self.score(batch.inputs) - batch.labels
        self.weight -= self.rate * float((error * batch.inputs["x"]).mean())
        self.bias -= self.rate * float(error.mean())
        return float((error**2).mean())

    def score(self, inputs: Arrays) -> Floats32:
        z = self.weight * inputs["x"] + self.bias
        return (1 / (1 + np.exp(-z))).astype(np.float32)

    def save(self) -> bytes:
        return json.dumps([self.weight, self.bias]).encode()

    def load(self, state: bytes) -> None:
        self.weight, self.bias = json.loads(state)

    def weights(self) -> Arrays:
        return {"weight": np.array([self.weight])}

    def export(self, folder: pathlib.Path) -> None:
        raise NotImplementedError

    @property
    def framework(self) -> tuple[str, str]:
        return "numpy", np.__version__


class Killed(BaseException):
    """What a signal does."""


@dataclass
class Memory:
    """Keeps a checkpoint; dies after some epochs."""

    dies_after: int = 10**6
    saved: bytes | None = None
    count: int = 0

    def get(self) -> Saved | None:
        return Saved.decode(self.saved) if self.saved else None

    def put(self, saved: Saved) -> None:
        self.saved, self.count = saved.encode(), self.count + 1
        if self.count == self.dies_after:
            raise Killed


@pytest.fixture
def fold() -> Fold:
    def rows(seed: int) -> Rows:
        random = np.random.default_rng(seed)
        x = random.normal(size=600).astype(np.float32)
        labels = (random.random(600) < 1 / (1 + np.exp(1 - 2 * x))).astype(np.float32)
        return Rows({"x": x}, labels, 0)

    return Fold(rows(1), rows(2))


def _plan(epochs: int, patience: int = 99) -> Plan:
    return Plan(Aim(), Steps(32, 0.1), Length(epochs, patience), seed=1)


def _silent(_: str) -> None:
    return None


def test_learns_and_says_how_each_epoch_went(fold: Fold) -> None:
    said: list[str] = []
    history = fit(Regression(), fold, _plan(5), checkpoints=NoCheckpoints(), say=said.append)

    assert [epoch.number for epoch in history.epochs] == [1, 2, 3, 4, 5]
    assert history.epochs[-1].validation < history.epochs[0].validation
    assert history.best.metrics["auc"] > 0.8
    assert said[0].startswith("epoch 1: loss")
    assert History.decode(history.encode()) == history


def test_stops_when_validation_gets_no_better_and_keeps_the_best(fold: Fold) -> None:
    learner = Regression(rate=0.05, drift=0.4)
    history = fit(learner, fold, _plan(50, patience=3), checkpoints=NoCheckpoints(), say=_silent)

    assert len(history.epochs) < 50
    assert history.epochs[-1].number == history.best.number + 3
    best = Regression()
    best.load(learner.save())
    labels, scores = fold.validation.labels, best.score(fold.validation.inputs)
    loss = -np.where(labels == 1, np.log(scores), np.log(1 - scores)).mean()
    assert loss == pytest.approx(history.best.validation, rel=1e-5)


def test_a_killed_run_goes_on_and_ends_with_the_same_weights(fold: Fold) -> None:
    whole = Regression()
    expected = fit(whole, fold, _plan(6), checkpoints=NoCheckpoints(), say=_silent)
    place = Memory(dies_after=2)
    with pytest.raises(Killed):
        fit(Regression(), fold, _plan(6), checkpoints=place, say=_silent)

    resumed = Regression()
    history = fit(resumed, fold, _plan(6), checkpoints=place, say=_silent)

    assert resumed.seen == [3, 4, 5, 6]
    assert (resumed.weight, resumed.bias) == (whole.weight, whole.bias)
    assert [e.validation for e in history.epochs] == [e.validation for e in expected.epochs]


def test_a_loss_of_nan_names_the_epoch(fold: Fold) -> None:
    bad = Rows({"x": fold.train.inputs["x"].copy()}, fold.train.labels, 0)
    bad.inputs["x"][3] = np.nan

    with pytest.raises(UserError, match=r"epoch 1: the loss is nan.*fill missing floats"):
        fit(Regression(), Fold(bad, fold.validation), _plan(3), checkpoints=NoCheckpoints())


def test_a_score_of_nan_names_the_epoch(fold: Fold) -> None:
    bad = Rows({"x": fold.train.inputs["x"].copy()}, fold.train.labels, 0)
    bad.inputs["x"][3] = np.nan

    with pytest.raises(UserError, match="epoch 1: a validation score"):
        fit(Regression(), Fold(fold.train, bad), _plan(3), checkpoints=NoCheckpoints())


@pytest.mark.parametrize("epochs", [0, -1])
def test_refuses_a_plan_without_epochs(epochs: int) -> None:
    with pytest.raises(UserError, match="epochs is"):
        _plan(epochs)


def test_an_epoch_better_by_a_hair_is_no_better() -> None:
    first = Epoch(1, 0.5, 0.500000, {"auc": 0.7}, 1.0)
    second = Epoch(2, 0.5, 0.499999, {"auc": 0.7}, 1.0)

    assert History((first, second)).best is first
