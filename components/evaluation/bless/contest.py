"""A challenger brought before its champion, and judged by what a project asks."""

from dataclasses import dataclass
from typing import Self

from components.evaluation.bless.champion import Seat, meet
from components.evaluation.bless.expectations import Expectations
from components.evaluation.bless.judge import Blessing, judge
from components.evaluation.labels import Truth
from components.evaluation.runtime import ServedModel
from components.foundation.statistics.task import Task
from components.foundation.tables import TableRef, Tables


@dataclass(frozen=True, slots=True)
class Contest:
    """Who challenges, what came true, and what is asked; the seed is that of the resamples."""

    challenger: ServedModel
    truth: Truth
    asked: Expectations
    seed: int

    @classmethod
    def parse(cls, folder: str, label: str, task: str, expectations: str, *, seed: int) -> Self:
        """Read what a component is given.

        Raises:
            UserError: as `Task.parse`, `Expectations.parse` and `ServedModel.open`.
        """
        kind = Task.parse(task)
        asked = Expectations.parse(expectations, kind)
        truth = Truth(label, kind, (*asked.slice_columns, asked.groups))
        return cls(ServedModel.open(folder), truth, asked, seed)

    def hold(self, test: TableRef, seat: Seat, tables: Tables) -> Blessing:
        """Score the same rows with both models, and judge; raises as `meet`."""
        rows, ours, theirs = meet(self.challenger, test, seat, truth=self.truth, tables=tables)
        return judge(rows, ours, theirs, model=seat.model, asked=self.asked, seed=self.seed)
