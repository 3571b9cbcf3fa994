"""One training run from tables to a model folder, whatever the framework."""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from components.foundation import digests
from components.foundation.digests import Digest
from components.foundation.errors import UserError
from components.foundation.statistics.metrics import finite
from components.foundation.statistics.task import Task
from components.foundation.storage import ObjectStore
from components.foundation.tables import TableRef, Tables
from components.training import artifact, checkpoints, curve, data
from components.training.data import Rows
from components.training.loop import Fold, History, Learner, fit
from components.training.plan import Plan
from components.training.spec import EntryPoint, Spec, your_code

Start = Callable[[Callable[[], Any], Spec, Plan], Learner]
_PROBE = 3
_BAND = (0.05, 0.95)


@dataclass(frozen=True, slots=True)
class Source:
    """The rows to learn from and those to stop by, and the columns of both."""

    train: TableRef
    validation: TableRef
    features: Sequence[str]
    label: str


@dataclass(frozen=True, slots=True)
class Job:
    """All that a trained model is a function of."""

    source: Source
    entry: EntryPoint
    parameters: Mapping[str, Any]
    plan: Plan

    @classmethod
    def of(
        cls, source: Source, entry_point: str, parameters: Mapping[str, Any], plan: Plan
    ) -> "Job":
        """Find the function that builds the model; raises UserError as `EntryPoint.load`."""
        return cls(source, EntryPoint.load(entry_point), parameters, plan)

    def digest(self) -> Digest:
        """Name the run by its inputs, but for its length: more epochs go on where fewer ended."""
        facts = self.facts()
        plan = {k: v for k, v in facts["plan"].items() if k not in ("epochs", "patience")}
        return digests.of_json({**facts, "plan": plan, "features": list(self.source.features)})

    def facts(self) -> dict[str, Any]:
        return {
            "entry_point": str(self.entry),
            "code": self.entry.code,
            "parameters": dict(self.parameters),
            "plan": self.plan.facts(),
            "train": str(self.source.train),
            "validation": str(self.source.validation),
            "label": self.source.label,
        }


@dataclass(frozen=True, slots=True)
class Trained:
    """What a run left behind, besides the model folder."""

    job: Job
    history: History
    rows: int
    unlabelled: int

    def numbers(self) -> dict[str, float]:
        """Return what a dashboard shows."""
        best = self.history.best
        numbers = {
            "rows": self.rows,
            "rows_without_label": self.unlabelled,
            "epochs_run": len(self.history.epochs),
            "best_epoch": best.number,
            **{f"validation_{name}": value for name, value in best.metrics.items()},
            "rows_per_second": round(self.history.throughput(self.rows)),
        }
        return {name: value for name, value in numbers.items() if finite(value) is not None}

    def page(self) -> str:
        """Draw the learning curve."""
        return curve.render(f"Training {self.job.entry}", self.history, rows=self.rows)

    def facts(self) -> dict[str, Any]:
        """Say what the model folder holds, and how it came to be."""
        return {"signature": artifact.SIGNATURE, **self.numbers()}

    @property
    def result(self) -> tuple[int, dict[str, float]]:
        """Epochs run, and the metrics of the best on the validation rows."""
        return len(self.history.epochs), dict(self.history.best.metrics)


def run(
    job: Job, start: Start, path: str, tables: Tables, store: ObjectStore, *, checkpoint: str
) -> Trained:
    """Train by a job with a framework's learner and write the model folder.

    Args:
        job: what to train.
        start: makes a framework's learner from a function that builds the model.
        path: the folder the model goes to.
        tables: where rows are read.
        store: where checkpoints lie.
        checkpoint: `s3://` prefix of checkpoints; empty for none.
    """
    fold, spec = load(job, tables)
    learner = start(lambda: job.entry.build(spec, job.parameters), spec, job.plan)
    _probe(learner, fold.validation, str(job.entry))
    with your_code(str(job.entry), sees_rows=True):
        place = checkpoints.under(checkpoint, store, inputs=job.digest())
        history = fit(learner, fold, job.plan, objective=spec.objective, checkpoints=place)
        folder = pathlib.Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        learner.export(folder)
    artifact.write(folder, spec.signature, _card(job, learner, history, fold))
    return Trained(job, history, len(fold.train), fold.train.unlabelled)


def load(job: Job, tables: Tables) -> tuple[Fold, Spec]:
    """Read both tables and say how many rows had no label."""
    source, task = job.source, job.plan.aim.task
    names = data.columns(tables.schema(source.train), source.features, source.label)
    refs = (source.train, source.validation)
    tables_read = [tables.read(ref, names) for ref in refs]
    signature = data.signature(tables_read[0], source.features, task)
    train, validation = (
        data.labelled(t, signature, label=source.label, task=task, source=str(ref))
        for ref, t in zip(refs, tables_read, strict=True)
    )
    for ref, rows in zip(refs, (train, validation), strict=True):
        print(f"{ref}: {len(rows):,} rows with a label, {rows.unlabelled:,} without left out")
    return Fold(train, validation), Spec.of(signature, train, job.plan.aim.loss)


def _probe(learner: Learner, rows: Rows, entry: str) -> None:
    """Refuse a model of the wrong shape before an epoch is spent on it."""
    few = {name: array[:_PROBE] for name, array in rows.inputs.items()}
    count = min(_PROBE, len(rows))
    with your_code(entry, sees_rows=True):
        shape = learner.score(few).shape
    if shape != (count,):
        raise UserError(
            f"entry point {entry}: the model turns {count} rows into shape {shape}; expected "
            f"one number a row, shape ({count},): squeeze the last axis",
            code="training-output-shape",
        )


def _card(job: Job, learner: Learner, history: History, fold: Fold) -> artifact.Card:
    name, version = learner.framework
    parts = [
        {**rows.inputs, job.source.label: rows.labels} for rows in (fold.train, fold.validation)
    ]
    return artifact.Card(
        framework=name,
        version=version,
        **job.facts(),
        rows=len(fold.train),
        base_rate=fold.train.base_rate,
        epochs_run=len(history.epochs),
        best_epoch=history.best.number,
        weights=artifact.arrays_digest(learner.weights()),
        band=_band(learner, fold.validation) if job.plan.aim.task is Task.REGRESSION else None,
        data=str(digests.of_json([artifact.arrays_digest(part) for part in parts])),
    )


def _band(learner: Learner, rows: Rows) -> tuple[float, float]:
    """Return what to add to a prediction so that 9 of 10 labels of these rows lie between."""
    off = rows.labels.astype(np.float64) - learner.score(rows.inputs)
    low, high = np.quantile(off, _BAND)
    return float(low), float(high)
