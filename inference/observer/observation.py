"""One row a prediction: time, id, model, version, variant, features, score."""

import datetime
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


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
        columns = {name: _plain(values) for name, values in prediction.features.items()}
        for row, (identity, score) in enumerate(
            zip(prediction.ids, _plain(prediction.score), strict=True)
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


def _plain(values: Array) -> list[Any]:
    """Return JSON values; a number JSON cannot say becomes None."""
    plain = values.astype(object)
    if values.dtype.kind == "f":
        plain[~np.isfinite(values)] = None
    listed: list[Any] = plain.tolist()
    return listed


def _line(row: Mapping[str, Any]) -> bytes:
    return json.dumps(row, separators=(",", ":"), allow_nan=False).encode() + b"\n"
