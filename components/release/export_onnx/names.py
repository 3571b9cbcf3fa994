"""Order and names in a graph that follow from its structure, not from the process that made it.

tf2onnx counts (`const_axes__24` in one process is `const_axes__36` in the next), orders nodes by
those names, and of equal constants keeps now one, now another: the same model would get another
digest.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx


@dataclass
class _Names:
    """Old name -> new name, numbered by order of first appearance."""

    given: dict[str, str] = field(default_factory=dict)

    def __call__(self, old: str, kind: str) -> str:
        if old not in self.given:
            self.given[old] = f"_{kind}_{len(self.given)}"
        return self.given[old]


def renumber(graph: "onnx.GraphProto") -> None:
    """Sort nodes by who needs whom and name values by who makes them; inputs and outputs stay."""
    kept = {value.name: value.name for value in (*graph.input, *graph.output)}
    names = _Names({"": "", **kept})
    for part in _graphs(graph):
        _sort(part)
        for value in part.input:
            value.name = names(value.name, "input")
        for node in part.node:
            node.input[:] = [names(value, "constant") for value in node.input]
            node.output[:] = [names(value, node.op_type) for value in node.output]
            node.name = node.output[0]
        for value in part.output:
            value.name = names(value.name, "constant")
        del part.value_info[:]  # runtimes infer it again
    for part in _graphs(graph):
        _name_constants(part, names)


def _sort(graph: "onnx.GraphProto") -> None:
    """Order nodes as the outputs need them, each after those it needs; drop what none needs."""
    nodes = list(graph.node)
    makers = {value: place for place, node in enumerate(nodes) for value in node.output if value}
    done: dict[int, onnx.NodeProto] = {}
    waiting = [makers[v.name] for v in reversed(graph.output) if v.name in makers]
    while waiting:
        place = waiting[-1]
        needed = (makers[value] for value in _needs(nodes[place]) if value in makers)
        missing = [other for other in needed if other not in done]
        if missing:
            waiting += reversed(missing)
        else:
            done[waiting.pop()] = nodes[place]
    del graph.node[:]
    graph.node.extend(done.values())


def _needs(node: "onnx.NodeProto") -> Iterator[str]:
    """Yield the values that a node uses, also those that branches and loop bodies take."""
    yield from node.input
    for graph in _inner(node):
        for one in graph.node:
            yield from _needs(one)
        yield from (value.name for value in graph.output)


def _name_constants(graph: "onnx.GraphProto", names: _Names) -> None:
    """Give constants the names that their users know them by; drop those without one."""
    used = [tensor for tensor in graph.initializer if tensor.name in names.given]
    for tensor in used:
        tensor.name = names.given[tensor.name]
    del graph.initializer[:]
    graph.initializer.extend(sorted(used, key=lambda tensor: str(tensor.name)))


def _graphs(graph: "onnx.GraphProto") -> Iterator["onnx.GraphProto"]:
    """Yield a graph and those in its nodes: branches, loop bodies."""
    yield graph
    for node in graph.node:
        for inner in _inner(node):
            yield from _graphs(inner)


def _inner(node: "onnx.NodeProto") -> Iterator["onnx.GraphProto"]:
    for attribute in node.attribute:
        yield from (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs)
