"""A served model before rows of known truth: asked once, measured, and its answers kept."""

import contextlib
from dataclasses import dataclass, replace
from typing import Self

from components.evaluation import labels
from components.evaluation.evaluate import measure
from components.evaluation.evaluate.measure import Evaluation, Settings
from components.evaluation.labels import Labelled, Truth
from components.evaluation.runtime import ServedModel
from components.foundation import digests, once
from components.foundation.statistics.metrics import Floats
from components.foundation.statistics.task import Task
from components.foundation.tables import TableRef, Tables


@dataclass(frozen=True)
class Exam:
    """A model, the rows it was asked about, and what it answered."""

    model: ServedModel
    rows: Labelled
    scores: Floats
    settings: Settings

    @classmethod
    def sit(
        cls,
        folder: str,
        test: TableRef,
        settings: Settings,
        tables: Tables,
        *,
        label: str,
        task: str,
    ) -> Self:
        """Open a model and ask it about the rows of a table that have a label.

        Raises:
            UserError: as `ServedModel.open`, `Task.parse`, `labels.read` and `ServedModel.score`.
        """
        model = ServedModel.open(folder)
        truth = Truth(label, Task.parse(task), (*settings.slices, settings.groups))
        rows = labels.read(tables, test, model.signature, truth)
        return cls(model, rows, model.score(rows.table), replace(settings, band=model.band))

    def measured(self) -> Evaluation:
        return measure.evaluate(self.rows, self.scores, self.settings, model=self.model.digest)

    def write(self, tables: Tables, target: str) -> str:
        """Write the rows with a column `score` to a table, if one is named; return it pinned.

        The same rows with the same scores are written once.
        """
        if not target:
            return ""
        import pyarrow as pa

        rows, scores = self.rows, self.scores
        table = rows.table.append_column("score", pa.array(scores))
        facts = [rows.source, table.column_names, str(digests.of_bytes(scores.data))]
        made = once.replace(
            tables,
            TableRef.unversioned(target),
            digests.of_json(facts),
            lambda: contextlib.nullcontext(table.to_reader()),
        )
        return str(made)
