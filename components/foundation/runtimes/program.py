"""What any runtime makes of a file: something that says what it takes, and predicts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from components.foundation.signature import Array


@dataclass(frozen=True, slots=True)
class Port:
    """What a program itself says of an input or output; -1 where the size is open."""

    datatype: str
    shape: tuple[int, ...]


class Program(Protocol):
    """A file that a runtime has loaded; `predict` is called from any threads at once."""

    @property
    def platform(self) -> str: ...
    @property
    def inputs(self) -> Mapping[str, Port]: ...
    @property
    def outputs(self) -> Mapping[str, Port]: ...
    def predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]: ...
