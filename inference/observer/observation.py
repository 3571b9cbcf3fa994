"""One row a prediction: time, id, model, version, variant, features, score."""

import datetime
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from components.foundation.signature import Array, json_values


@dataclass(frozen=True, slots=True)
class Prediction:
    """A batch that was answered; `ids` names its rows, `score` has one number a row."""

    time: datetime.datetime
    ids: tuple[str, ...]
    features: Mapping[str, Array]
    score: Array


@dataclass(frozen=True, slots=True)
class Source:
    """Who answered."""

    model: str
    version: str
    variant: str

    def lines(self, prediction: Prediction) -> Iterator[bytes]:
        """Yield a JSON line a row; `features` is itself JSON text, NaN becomes null."""
        time = prediction.time.isoformat(timespec="microseconds")
        columns = {name: json_values(values) for name, values in prediction.features.items()}
        for row, (identity, score) in enumerate(
            zip(prediction.ids, json_values(prediction.score), strict=True)
        ):
            features = {name: values[row] for name, values in columns.items()}
            yield _line(
                {
                    "date": time[:10],
                    "time": time,
                    "id": identity,
                    "model": self.model,
                    "version": self.version,
                    "variant": self.variant,
                    "score": score,
                    "features": json.dumps(features, separators=(",", ":")),
                }
            )


def score_of(output: Array) -> Array:
    """Return one number a row of a model's first output: its last column."""
    return output.reshape(len(output), -1)[:, -1]


def _line(row: Mapping[str, Any]) -> bytes:
    return json.dumps(row, separators=(",", ":"), allow_nan=False).encode() + b"\n"
