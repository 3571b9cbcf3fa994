"""Will a flight arrive late? A weight a number, a weight a code, and their sum.

Entry point `examples.flights.models.tensorflow_linear:build`. The first model of a project
ought to be this plain: what a later one gains is measured against it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from components.training.spec import Column, Spec

CODES = ("carrier_code", "origin_code", "dest_code", "weekday")


def build(spec: Spec, *, decay: float = 1e-5, codes: Sequence[str] = CODES) -> Any:
    """Build the model.

    Args:
        spec: inputs, and what their training rows look like.
        decay: how much large weights of codes cost.
        codes: the integers that are codes; those that are not inputs do not matter.
    """
    inputs = {
        tensor.name: keras.Input((), dtype=tensor.dtype.name, name=tensor.name)
        for tensor in spec.signature.inputs
    }
    coded = [column for column in spec.columns if column.integer and column.name in codes]
    numbers = [column for column in spec.columns if column not in coded]
    parts = [_code(column, inputs[column.name], decay) for column in coded]
    if numbers:
        parts.append(keras.layers.Dense(1, name="numbers")(_scaled(numbers, inputs)))
    logits = keras.layers.add(parts) if len(parts) > 1 else parts[0]
    return keras.Model(inputs, ops.squeeze(logits, axis=1))


def _code(column: Column, values: Any, decay: float) -> Any:
    """Give every code a weight; codes that the training rows did not have count as 0."""
    known = ops.logical_and(values >= 0, values < column.size)
    penalty = keras.regularizers.L2(decay)
    weight = keras.layers.Embedding(
        column.size, 1, embeddings_regularizer=penalty, name=f"{column.name}_weight"
    )
    return weight(ops.where(known, values, ops.zeros_like(values)))


def _scaled(columns: Sequence[Column], inputs: Mapping[str, Any]) -> Any:
    """Scale numbers by the training rows; missing ones become the mean, which is 0."""
    values = ops.stack([ops.cast(inputs[c.name], "float32") for c in columns], axis=1)
    means = ops.array([c.mean for c in columns], dtype="float32")
    deviations = ops.array([c.deviation for c in columns], dtype="float32")
    scaled = ops.clip((values - means) / deviations, -8, 8)
    missing = ops.isnan(values)
    filled = ops.where(missing, ops.zeros_like(scaled), scaled)
    return ops.concatenate([filled, ops.cast(missing, "float32")], axis=1)
