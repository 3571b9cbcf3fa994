"""What every wire format checks in the same words: names, shapes, rows, parameters."""

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

from components.foundation.errors import nearest
from components.foundation.signature import Array, Signature, Tensor
from inference.server.protocol.messages import Form, InferRequest, Rejected, Wanted, new_id

_MAX_ID = 256
_SHOWN = 100  # characters of a client's name that are said back

_want = functools.lru_cache(maxsize=1024)(Wanted)  # the same few outputs, request by request


def request(
    signature: Signature,
    inputs: Mapping[str, Array],
    *,
    id: Any = None,
    outputs: Sequence[Wanted] = (),
    ids: Any = None,
    timeout: Any = None,
) -> InferRequest:
    """Make a request of arrays that fit one by one; raises Rejected where the whole does not.

    Args:
        signature: the model's.
        inputs: arrays by name, each found to fit its tensor.
        id: as the client gave it; nothing or an empty one is made up.
        outputs: what is wanted; nothing means all, in JSON.
        ids: the parameter of that name as the client gave it.
        timeout: the parameter of that name as the client gave it, in microseconds.
    """
    if len(inputs) != len(signature.inputs):
        _refuse_missing(signature, inputs)
    batch = rows(signature, inputs)
    return InferRequest(
        inputs,
        tuple(outputs) or everything(signature, Form.JSON),
        new_id() if id is None or id == "" else request_id(id),
        ids=() if ids is None else row_ids(ids, batch),
        timeout=None if timeout is None else seconds(timeout),
        batch=batch,
    )


def unknown(kind: str, name: str, known: Iterable[str]) -> NoReturn:
    """Refuse a name, saying which was probably meant."""
    said = name[:_SHOWN]
    raise Rejected(400, f"{kind} {said!r}: unknown; {nearest(said, list(known))}")


def shape(got: Any, tensor: Tensor) -> tuple[int, ...]:
    """Return a shape that is one of the tensor's, where -1 stands for any size above 0."""
    want = tensor.shape
    if type(got) is list and len(got) == len(want):
        for size, wanted in zip(got, want, strict=True):
            if type(size) is not int or size < 1 or (size != wanted and wanted != -1):
                break
        else:
            return tuple(got)
    raise Rejected(400, f"input {tensor.name!r}: shape {got!r:.60}, expected {list(want)}")


def datatype(got: Any, tensor: Tensor) -> None:
    """Refuse a datatype that is not the tensor's."""
    if got != tensor.datatype:
        raise Rejected(
            400, f"input {tensor.name!r}: datatype {got!r:.40}, expected {tensor.datatype!r}"
        )


def rows(signature: Signature, inputs: Mapping[str, Array]) -> int:
    """Count the rows, which every input with a batch has the same of; 1 where none has one."""
    counts = {len(inputs[t.name]) for t in signature.inputs if t.shape and t.shape[0] == -1}
    if len(counts) > 1:
        raise Rejected(400, f"inputs have {sorted(counts)[:10]} rows; expected the same in each")
    return counts.pop() if counts else 1


def request_id(given: Any) -> str:
    if not isinstance(given, str) or len(given) > _MAX_ID:
        raise Rejected(400, f"id: expected a string of at most {_MAX_ID} characters")
    return given


def row_ids(given: Any, count: int) -> tuple[str, ...]:
    """Read the names of the rows: as many strings as there are rows, none empty or long."""
    if (
        not isinstance(given, list)
        or len(given) != count
        or not all(isinstance(entry, str) and 0 < len(entry) <= _MAX_ID for entry in given)
    ):
        raise Rejected(400, f"parameters.ids: expected {count} strings, one a row")
    return tuple(given)


def seconds(timeout: Any) -> float:
    """Read how long the client waits, from microseconds."""
    if type(timeout) is not int or timeout <= 0:
        raise Rejected(400, f"parameters.timeout: {timeout!r:.40}, expected microseconds above 0")
    return timeout / 1e6


def everything(signature: Signature, form: Form) -> tuple[Wanted, ...]:
    """Want every output of a model."""
    return tuple([_want(tensor.name, form, tensor.datatype) for tensor in signature.outputs])


def wanted(signature: Signature, forms: Sequence[tuple[str, Form]]) -> tuple[Wanted, ...]:
    """Want the outputs that were asked for; raises Rejected for an unknown or repeated one."""
    datatypes = {tensor.name: tensor.datatype for tensor in signature.outputs}
    if len(dict(forms)) != len(forms):
        raise Rejected(400, "outputs: one is asked for twice")
    for name, _ in forms:
        if name not in datatypes:
            unknown("output", name, datatypes)
    return tuple([_want(name, form, datatypes[name]) for name, form in forms])


def _refuse_missing(signature: Signature, inputs: Mapping[str, Array]) -> NoReturn:
    missing = next(tensor.name for tensor in signature.inputs if tensor.name not in inputs)
    count = len(signature.inputs)
    raise Rejected(400, f"input {missing!r}: missing; the model wants {count} inputs")
