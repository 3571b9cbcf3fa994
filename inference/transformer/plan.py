"""From keys and features to a model's inputs: what a client gives, what the store gives.

An input of the model comes from the store where the feature service has a feature of that name,
is a key where a key has its name, and is given by the client with the keys otherwise.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn, Self

import orjson

from components.foundation.errors import UserError
from components.foundation.signature import Array, Signature, Tensor
from inference.server.protocol import tensors
from inference.server.protocol.messages import Form, InferRequest, Rejected, Wanted

Columns = Mapping[str, Sequence[Any]]
_ONE_VALUE: Final = ((-1,), (-1, 1))
_SHOWN: Final = 100  # characters of an entity that are said back


@dataclass(frozen=True, slots=True)
class Plan:
    """How requests about entities become requests to one version of a model.

    Attributes:
        version: of the model.
        model: its signature.
        keys: what names an entity.
        stored: the inputs that the store gives.
        asked: what a client gives and gets.
    """

    version: str
    model: Signature
    keys: tuple[Tensor, ...]
    stored: tuple[Tensor, ...]
    asked: Signature

    @classmethod
    def of(
        cls, model: Signature, *, version: str, keys: Sequence[Tensor], features: Sequence[str]
    ) -> Self:
        """Find out which inputs come from where.

        Raises:
            UserError: the store has none of them, or one that is more than a value a row.
        """
        named = frozenset(features)
        stored = tuple(tensor for tensor in model.inputs if tensor.name in named)
        wide = [tensor.name for tensor in stored if tensor.shape not in _ONE_VALUE]
        if wide or not stored:
            why = f"{wide[0]!r} is more than one value a row" if wide else "none is a feature"
            inputs = ", ".join(tensor.name for tensor in model.inputs)
            raise UserError(
                f"model version {version} takes {inputs}; {why}; name the feature service that "
                "it was trained with",
                code="transformer-features",
            )
        known = {tensor.name for tensor in (*keys, *stored)}
        given = [tensor for tensor in model.inputs if tensor.name not in known]
        asked = Signature((*keys, *given), model.outputs)
        return cls(version, model, tuple(keys), stored, asked)

    def entities(self, request: InferRequest) -> list[dict[str, Any]]:
        """Return the keys of every row, text where they are text."""
        columns = {tensor.name: _plain(request.inputs[tensor.name], tensor) for tensor in self.keys}
        rows = zip(*columns.values(), strict=True)
        return [dict(zip(columns, row, strict=True)) for row in rows]

    def inputs(
        self, request: InferRequest, entities: Sequence[Mapping[str, Any]], found: Columns
    ) -> dict[str, Array]:
        """Make the model's inputs, in the order of its signature.

        Raises:
            Rejected: 400 naming the entity that lacks a value which has to be one; 500 where a
                feature is of another type than the model's.
        """
        stored = {tensor.name for tensor in self.stored}
        keys = {tensor.name for tensor in self.keys}
        made = {}
        for tensor in self.model.inputs:
            if tensor.name in stored:
                made[tensor.name] = _column(found[tensor.name], tensor, entities)
            elif tensor.name in keys:
                values = [entity[tensor.name] for entity in entities]
                made[tensor.name] = _column(values, tensor, entities)
            else:
                made[tensor.name] = request.inputs[tensor.name]
        return made

    def encode(
        self, request: InferRequest, inputs: Mapping[str, Array], *, seconds: float
    ) -> tuple[bytes, int]:
        """Write the request to the predictor, its tensors raw, so that values stay as they are.

        Returns:
            The body, and the length of its JSON.
        """
        raw = [tensors.to_raw(inputs[tensor.name], tensor.datatype) for tensor in self.model.inputs]
        parameters: dict[str, Any] = {"timeout": max(1, int(seconds * 1e6))}
        if request.ids:
            parameters["ids"] = request.ids
        head = orjson.dumps(
            {
                "id": request.id,
                "parameters": parameters,
                "inputs": [
                    _said(tensor, inputs[tensor.name], len(values))
                    for tensor, values in zip(self.model.inputs, raw, strict=True)
                ],
                "outputs": [_asked(wanted) for wanted in request.outputs],
            }
        )
        return b"".join([head, *raw]), len(head)


def _plain(values: Array, tensor: Tensor) -> list[Any]:
    if tensor.datatype != "BYTES":
        return list(values.tolist())
    try:
        return [value.decode() for value in values.tolist()]
    except UnicodeDecodeError:
        raise Rejected(400, f"input {tensor.name!r}: a key that is no UTF-8") from None


def _column(values: Sequence[Any], tensor: Tensor, entities: Sequence[Mapping[str, Any]]) -> Array:
    if tensor.dtype.kind != "f":
        for value, entity in zip(values, entities, strict=True):
            if value is None:
                _refuse_missing(tensor, entity)
    shape = (len(values), *tensor.shape[1:])
    try:
        return tensors.from_json(list(values), tensor, shape)
    except Rejected as rejected:
        # The client gave neither: the definitions and the model disagree.
        why = f"the store's {tensor.name!r} does not fit the model's {tensor.datatype}"
        raise Rejected(500, why) from rejected


def _refuse_missing(tensor: Tensor, entity: Mapping[str, Any]) -> NoReturn:
    named = ", ".join(f"{key} {value!r:.{_SHOWN}}" for key, value in entity.items())
    raise Rejected(
        400, f"{named}: the store has no {tensor.name!r}, and {tensor.datatype} cannot be missing"
    )


def _said(tensor: Tensor, values: Array, size: int) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "datatype": tensor.datatype,
        "shape": values.shape,
        "parameters": {"binary_data_size": size},
    }


def _asked(wanted: Wanted) -> dict[str, Any]:
    return {"name": wanted.name, "parameters": {"binary_data": wanted.form is Form.BINARY}}
