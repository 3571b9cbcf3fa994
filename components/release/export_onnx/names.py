"""Names in a graph that do not depend on the process that made it.

tf2onnx counts: `const_axes__24` in one process is `const_axes__36` in the next, and the same
model would get another digest.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

_COUNTER = re.compile(r"__\d+")


@dataclass
class _Names:
    """Old name -> new name, numbered by order of first appearance."""

    given: dict[str, str] = field(default_factory=dict)

    def __call__(self, old: str) -> str:
        if not _COUNTER.search(old):
            return old
        if old not in self.given:
            self.given[old] = f"{_COUNTER.sub('', old)}__{len(self.given)}"
        return self.given[old]


def renumber(graph: "onnx.GraphProto") -> None:
    """Count names again, in the order in which nodes use them; inputs and outputs stay."""
    names = _Names({value.name: value.name for value in (*graph.input, *graph.output)})
    for part in _graphs(graph):
        for node in part.node:
            node.name = names(node.name)
            node.input[:] = [names(value) for value in node.input]
            node.output[:] = [names(value) for value in node.output]
        for value in (*part.initializer, *part.input, *part.output):
            value.name = names(value.name)
        ordered = sorted(part.initializer, key=lambda tensor: str(tensor.name))
        del part.initializer[:]
        part.initializer.extend(ordered)
        del part.value_info[:]  # runtimes infer it again


def _graphs(graph: "onnx.GraphProto") -> Iterator["onnx.GraphProto"]:
    """Yield a graph and those in its nodes: branches, loop bodies."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _graphs(inner)
