"""One training run from tables to a model folder, whatever the framework."""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from components.foundation import digests
from components.foundation.digests import Digest
from components.foundation.errors import UserError
from components.foundation.statistics.metrics import finite
from components.foundation.storage import ObjectStore
from components.foundation.tables import TableRef, Tables
from components.training import artifact, checkpoints, curve, data
from components.training.data import Rows
from components.training.loop import Fold, History, Learner, Plan, fit
from components.training.spec import EntryPoint, Spec, your_code

Start = Callable[[Callable[[], Any], Spec, Plan], Learner]
_PROBE = 3


@dataclass(frozen=True, slots=True)
class Job:
    """All that a trained model is a function of."""

    train: TableRef
    validation: TableRef
    features: Sequence[str]
    label: str
    entry: EntryPoint
    parameters: Mapping[str, Any]
    plan: Plan

    def digest(self) -> Digest:
        """Name the run by its inputs, but for its length: more epochs go on where fewer ended."""
        facts = self.facts()
        plan = {k: v for k, v in facts["plan"].items() if k not in ("epochs", "patience")}
        return digests.of_json({**facts, "plan": plan, "features": list(self.features)})

    def facts(self) -> dict[str, Any]:
        return {
            "entry_point": str(self.entry),
            "code": self.entry.code,
            "parameters": dict(self.parameters),
            "plan": {**asdict(self.plan), "class_weight": str(self.plan.class_weight)},
            "train": str(self.train),
            "validation": str(self.validation),
            "label": self.label,
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
            "validation_log_loss": best.log_loss,
            "validation_auc": best.auc,
            "rows_per_second": round(self.history.throughput(self.rows)),
        }
        return {name: value for name, value in numbers.items() if finite(value) is not None}

    def page(self) -> str:
        """Draw the learning curve."""
        return curve.render(f"Training {self.job.entry}", self.history, rows=self.rows)

    @property
    def result(self) -> tuple[int, float, float]:
        """Epochs run, and AUC and log loss on the validation rows."""
        best = self.history.best
        return len(self.history.epochs), best.auc, best.log_loss


def run(
    job: Job, start: Start, path: str, *, tables: Tables, store: ObjectStore, checkpoint: str
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
    with your_code(str(job.entry)):
        place = checkpoints.under(checkpoint, store, inputs=job.digest())
        history = fit(learner, fold, job.plan, checkpoints=place)
        folder = pathlib.Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        learner.export(folder)
    artifact.write(folder, spec.signature, _card(job, learner, history, fold))
    return Trained(job, history, len(fold.train), fold.train.unlabelled)


def load(job: Job, tables: Tables) -> tuple[Fold, Spec]:
    """Read both tables and say how many rows had no label."""
    names = data.columns(tables.schema(job.train), job.features, job.label)
    tables_read = [tables.read(ref, names) for ref in (job.train, job.validation)]
    signature = data.signature(tables_read[0], job.features)
    train, validation = (data.labelled(t, signature, label=job.label) for t in tables_read)
    for ref, rows in ((job.train, train), (job.validation, validation)):
        print(f"{ref}: {len(rows):,} rows with a label, {rows.unlabelled:,} without left out")
    return Fold(train, validation), Spec.of(signature, train)


def _probe(learner: Learner, rows: Rows, entry: str) -> None:
    """Refuse a model of the wrong shape before an epoch is spent on it."""
    few = {name: array[:_PROBE] for name, array in rows.inputs.items()}
    count = min(_PROBE, len(rows))
    with your_code(entry):
        shape = learner.score(few).shape
    if shape != (count,):
        raise UserError(
            f"entry point {entry}: the model turns {count} rows into shape {shape}; expected "
            f"one logit a row, shape ({count},): squeeze the last axis",
            code="training-output-shape",
        )


def _card(job: Job, learner: Learner, history: History, fold: Fold) -> artifact.Card:
    name, version = learner.framework
    parts = [{**rows.inputs, job.label: rows.labels} for rows in (fold.train, fold.validation)]
    return artifact.Card(
        framework=name,
        version=version,
        **job.facts(),
        rows=len(fold.train),
        base_rate=fold.train.base_rate,
        epochs_run=len(history.epochs),
        best_epoch=history.best.number,
        weights=artifact.arrays_digest(learner.weights()),
        data=str(digests.of_json([artifact.arrays_digest(part) for part in parts])),
    )
