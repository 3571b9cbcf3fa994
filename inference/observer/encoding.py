"""Predictions as JSON lines, many at a time.

A line is `{"date", "time", "id", "model", "version", "variant", "score", "features"}`, and
`features` is itself JSON text: an input's name and its value in this row. What JSON cannot say
(NaN, infinity) is null. An input with more dimensions is nested lists. BYTES are text where
they are UTF-8, else `{"base64": "..."}`. An input of more than `WIDEST` values a row is null:
images do not belong in observations.

Columns are turned into text whole, since a call a row and value would cost the server ten
times the time, while it holds Python's lock.
"""

import base64
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from components.foundation.signature import Array
from inference.observer.observation import Prediction, Source

WIDEST = 4096  # values of one input in one row
_FOREIGN = re.compile(r"[^\x00-\x7f]+")


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows with the same inputs; all sequences are of one length."""

    times: Sequence[str]
    ids: Sequence[str]
    features: Mapping[str, Array]
    score: Array

    @classmethod
    def of(cls, prediction: Prediction, ids: Sequence[str]) -> "Rows":
        """Take a prediction apart; raises ValueError where its parts differ in length."""
        if len(ids) != prediction.rows:
            raise ValueError("as many ids as rows are wanted")
        time = prediction.time.isoformat(timespec="microseconds")
        features = _by_row(prediction.features, len(ids))
        return cls((time,) * len(ids), ids, features, prediction.score)

    def part(self, first: int, end: int) -> "Rows":
        features = {name: values[first:end] for name, values in self.features.items()}
        cut = slice(first, end)
        return Rows(self.times[cut], self.ids[cut], features, self.score[cut])

    def only(self, kept: Sequence[int]) -> "Rows":
        """Keep some rows, by their numbers."""
        features = {name: values[kept] for name, values in self.features.items()}
        times, ids = ([values[i] for i in kept] for values in (self.times, self.ids))
        return Rows(times, ids, features, self.score[kept])

    def width(self) -> int:
        """Return how many values a row has that are written."""
        each = (values.size // max(len(self.ids), 1) for values in self.features.values())
        return sum(size for size in each if size <= WIDEST)


def joined(parts: Sequence[Rows]) -> Rows:
    """Put rows behind each other; raises ValueError where they do not fit together."""
    if len(parts) == 1:
        return parts[0]
    names = parts[0].features
    if any(part.features.keys() != names.keys() for part in parts):
        raise ValueError("other inputs")
    return Rows(
        [*itertools.chain.from_iterable(part.times for part in parts)],
        [*itertools.chain.from_iterable(part.ids for part in parts)],
        {name: np.concatenate([part.features[name] for part in parts]) for name in names},
        np.concatenate([part.score for part in parts]),
    )


def lines(source: Source, rows: Rows) -> bytes:
    """Return a line a row, each with its end."""
    if not rows.ids:
        return b""
    texts = [_inner(values) for values in rows.features.values()]
    template = _template(source, rows.features)
    dates = (time[:10] for time in rows.times)
    columns = (dates, rows.times, _names(rows.ids), _numbers(rows.score), *texts)
    text = "".join(map(template.__mod__, zip(*columns, strict=True)))
    # Readers end a line wherever Unicode does, so only ASCII may stand in one.
    return (text if text.isascii() else _FOREIGN.sub(_in_ascii, text)).encode()


def _by_row(features: Mapping[str, Array], rows: int) -> Mapping[str, Array]:
    """Make an input without a batch the value of the only row."""
    try:
        if set(map(len, features.values())) <= {rows}:
            return features
    except TypeError:
        pass  # a scalar has no length
    if rows != 1:
        raise ValueError("an input lacks rows")
    return {
        name: values if values.shape[:1] == (1,) else values[None]
        for name, values in features.items()
    }


def _template(source: Source, names: Iterable[str]) -> str:
    """Return what a line's dates, times, ids, scores and features go into."""
    model, version, variant = map(_json, (source.model, source.version, source.variant))
    keys = (_json(name).replace("%", "%%") for name in names)
    features = ",".join(f"{_escaped(key)}:%s" for key in keys)
    who = f'"model":{model},"version":{version},"variant":{variant}'.replace("%", "%%")
    return f'{{"date":"%s","time":"%s","id":%s,{who},"score":%s,"features":"{{{features}}}"}}\n'


def _inner(values: Array) -> Iterable[str]:
    """Return a text a row, fit to stand in JSON text within JSON."""
    rows = len(values)
    if rows and values.size // rows > WIDEST:
        return itertools.repeat("null", rows)
    if values.dtype.kind != "O" and values.ndim == 1:
        return _numbers(values)
    if values.dtype.kind != "O" and values.size:
        return _nested(values)
    return [_escaped(_json(row)) for row in _plain(values.tolist())]


def _numbers(values: Array) -> Sequence[str]:
    return _dumped(values)[1:-1].split(",") if len(values) else ()


def _nested(values: Array) -> Iterator[str]:
    """Cut the text of a whole array where a row ends and the next one begins."""
    depth = values.ndim - 1
    begin, end = "[" * depth, "]" * depth
    cut = _dumped(values)[depth + 1 : -depth - 1].split(f"{end},{begin}")
    return (f"{begin}{row}{end}" for row in cut)


def _dumped(values: Array) -> str:
    # A small float is written as the number that it is exactly, not by its own few digits:
    # whoever reads it has a double, and has to find the same value.
    wide = values.astype(np.float64) if values.dtype.kind == "f" else values
    whole = np.ascontiguousarray(wide)
    return orjson.dumps(whole, option=orjson.OPT_SERIALIZE_NUMPY).decode()


def _names(ids: Sequence[str]) -> Sequence[str]:
    """Return ids as JSON; where none needs an escape, out of one text."""
    text = orjson.dumps(list(ids)).decode()
    if "\\" in text:
        return [_json(identity) for identity in ids]
    return [f'"{identity}"' for identity in text[2:-2].split('","')]


def _plain(value: Any) -> Any:
    """Replace bytes, at any depth of lists, by what JSON has."""
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


def _in_ascii(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1]


def _json(value: Any) -> str:
    return orjson.dumps(value, default=str).decode()


def _escaped(text: str) -> str:
    """Return text as it stands between the quotes of a JSON string."""
    return _json(text)[1:-1]
