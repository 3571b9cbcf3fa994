"""What the wire formats agree on: a request that fits the signature, or a refusal."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from components.foundation.signature import Array
from inference.server.random_digits import word
from inference.transport.messages import Headers, Rejected

__all__ = ["Form", "Headers", "InferRequest", "Rejected", "Wanted", "new_id"]


def new_id() -> str:
    """Make up a request's id: 32 random hexadecimal digits, as a UUID has."""
    return word() + word()


class Form(enum.Enum):
    """How an output is wanted in a REST response; gRPC has a form of its own."""

    JSON = "json"
    BINARY = "binary"


@dataclass(frozen=True, slots=True)
class Wanted:
    """An output that was asked for; without a datatype it goes by the one of its array."""

    name: str
    form: Form = Form.JSON
    datatype: str | None = None


@dataclass(frozen=True, slots=True)
class InferRequest:
    """A request that fits the signature.

    Attributes:
        id: echoed; made up where the client gave none.
        inputs: an array an input of the signature, all with the same number of rows.
        outputs: what is wanted, in the order to answer in.
        ids: names of the rows as the client gave them, or nothing.
        timeout: seconds that the client waits (parameter `timeout`, given in microseconds).
        batch: the number of rows; unless given, that of the first input.
    """

    inputs: Mapping[str, Array]
    outputs: tuple[Wanted, ...]
    id: str = field(default_factory=new_id)
    ids: tuple[str, ...] = ()
    timeout: float | None = None
    batch: int | None = None

    @property
    def rows(self) -> int:
        """The size of the batch; 1 where the signature has no batch."""
        if self.batch is not None:
            return self.batch
        first = next(iter(self.inputs.values()))
        return len(first) if first.ndim else 1

    def row_ids(self) -> tuple[str, ...]:
        """Name each row: as given, else by the request's id."""
        if self.ids:
            return self.ids
        if self.rows == 1:
            return (self.id,)
        return tuple(f"{self.id}-{row}" for row in range(self.rows))
