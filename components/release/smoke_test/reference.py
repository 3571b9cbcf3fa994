"""What the candidate should answer: the same rows through its program in this process."""

import pathlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from components.evaluation.runtime import ServedModel
from components.foundation import engine
from components.foundation.errors import UserError
from components.foundation.signature import Array, Signature
from components.foundation.tables import DataFiles
from components.training import artifact

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows as the tensors that a candidate takes."""

    signature: Signature
    inputs: Mapping[str, Array]

    @classmethod
    def of(cls, folder: pathlib.Path, rows: "pa.Table") -> Self:
        """Take rows for the model of a folder.

        Raises:
            UserError: there are no rows, or they lack what the model wants.
        """
        if rows.num_rows == 0:
            raise UserError(
                "smoke test: the table has no rows; give it some to try", code="no-rows"
            )
        signature = artifact.read_signature(folder)
        return cls(signature, signature.feed(rows))

    @property
    def rows(self) -> int:
        return len(next(iter(self.inputs.values())))

    def request(self, rows: slice = slice(None)) -> bytes:
        """Write an Open Inference request for some of the rows."""
        return self.signature.request({name: v[rows] for name, v in self.inputs.items()})

    def predicted(self, folder: pathlib.Path) -> dict[str, Array]:
        """Predict the rows here, with a model that has answered them all in the server."""
        return ServedModel.open(folder).outputs(self.inputs)

    def each(self) -> Iterator[slice]:
        return (slice(row, row + 1) for row in range(self.rows))


def difference(answer: Mapping[str, Any], want: Mapping[str, Array], rows: slice) -> float:
    """Return how far an answer is from what it should be, at most over all outputs."""
    given = {output["name"]: output["data"] for output in answer["outputs"]}
    return max(_apart(given[name], values[rows]) for name, values in want.items())


def first_rows(files: DataFiles, count: int) -> "pa.Table":
    """Read the rows of a table that come first in the order of their content."""
    query = f"SELECT * FROM {files.duckdb_source()} ORDER BY ALL LIMIT {count}"  # noqa: S608
    with engine.opened([files]) as connection, engine.streamed(connection, query) as stream:
        return stream.read_all()


def _apart(given: list[Any], want: Array) -> float:
    """Return the largest difference, of values beyond 1 as a part of the value.

    Infinite when counts or missing values differ.
    """
    got = np.array(given, dtype=np.float64)
    wanted = want.reshape(-1).astype(np.float64)
    if got.shape != wanted.shape or not np.array_equal(np.isnan(got), np.isnan(wanted)):
        return float("inf")
    present = ~np.isnan(wanted)
    apart = np.abs(got[present] - wanted[present]) / np.maximum(1.0, np.abs(wanted[present]))
    return float(apart.max(initial=0.0))
