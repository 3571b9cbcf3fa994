"""An ONNX graph, read without ONNX: its operators, its functions, and where its weights lie."""

import pathlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from components.foundation.formats.wire import Malformed, Message, numbers, signed
from components.release.scan_model.finding import Finding, Rule, shown

STANDARD: Final = frozenset(
    {"", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview.training"}
)
_DEEPEST: Final = 32  # graphs in graphs
_MOST_DIMENSIONS: Final = 64
_MOST_GAP: Final = 1 << 16  # alignment of tensors in a file beside the graph
_EXTERNAL: Final = 1
_KEYS: Final = {"location", "offset", "length", "checksum", "basepath"}
_HALF_BYTES: Final = {
    **dict.fromkeys((1, 6, 12), 8),  # float, int32, uint32
    **dict.fromkeys((2, 3, 9, 17, 18, 19, 20, 24), 2),  # 8 bits
    **dict.fromkeys((4, 5, 10, 16), 4),  # 16 bits
    **dict.fromkeys((7, 11, 13, 14), 16),  # 64 bits
    **{15: 32, 21: 1, 22: 1, 23: 1, 25: 1, 26: 1},  # complex128; 4 bits and less
}
_TEXT: Final = 8
_TYPED: Final = (4, 5, 7, 10, 11)  # fields of numbers; texts stand in field 6


Calls = set[tuple[str, str]]  # functions of the model, by domain and name


class _Model:
    OPSETS, GRAPH, TRAINING, FUNCTIONS = 8, 7, 20, 25


class _Graph:
    NODE, INITIALIZER, SPARSE = 1, 5, 15


class _Function:
    NAME, NODE, ATTRIBUTE, DOMAIN = 1, 7, 11, 10


class _Node:
    OPERATOR, ATTRIBUTE, DOMAIN = 4, 5, 7


class _Attribute:
    TENSOR, GRAPH, TENSORS, GRAPHS, SPARSE, SPARSES = 5, 6, 10, 11, 22, 23


class _Tensor:
    DIMENSIONS, TYPE, TEXTS, NAME, RAW, WHERE, PLACE = 1, 2, 6, 8, 9, 13, 14


@dataclass(frozen=True, slots=True)
class Span:
    """Where weights lie beside a graph; `size` is -1 for all that follows."""

    file: str
    start: int
    size: int


@dataclass(slots=True)
class Scan:
    """What was seen in one graph."""

    file: str
    domains: frozenset[str]
    sizes: Mapping[str, int]
    findings: list[Finding] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    operators: int = 0
    tensors: int = 0
    calls: dict[tuple[str, str], Calls] = field(default_factory=dict)

    def find(self, rule: Rule, says: str) -> None:
        self.findings.append(Finding(self.file, rule, says))


def scan(file: str, data: memoryview, *, domains: frozenset[str], sizes: Mapping[str, int]) -> Scan:
    """Judge a graph.

    Args:
        file: its path below the folder.
        data: its bytes.
        domains: declared domains of custom operators.
        sizes: every plain file of the folder, and its bytes.

    Raises:
        Malformed: it is no graph.
    """
    found = Scan(file, domains, sizes)
    model = Message(data)
    functions = list(model.messages(_Model.FUNCTIONS))
    found.calls = {_identity(function): set() for function in functions}
    if not model.has(_Model.GRAPH):
        raise Malformed("a model without a graph")
    _check_functions(found, functions)
    _check_graph(found, model.message(_Model.GRAPH), set(), 0)
    for training in model.messages(_Model.TRAINING):
        for graph in (*training.messages(1), *training.messages(2)):
            _check_graph(found, graph, set(), 0)
    for function in functions:
        calls = found.calls[_identity(function)]
        for attribute in function.messages(_Function.ATTRIBUTE):
            _check_attribute(found, attribute, calls, 0)
        _check_nodes(found, function.messages(_Function.NODE), calls, 0)
    _check_cycles(found)
    _check_spans(found)
    return found


def _identity(function: Message) -> tuple[str, str]:
    return function.text(_Function.DOMAIN), function.text(_Function.NAME)


def _check_functions(found: Scan, functions: list[Message]) -> None:
    for domain, name in map(_identity, functions):
        if domain in STANDARD:
            says = f"a function of its own is called {shown(name)}, as an operator of ONNX is"
            found.find(Rule.OPERATOR, f"{says}; export without it")
    if len(found.calls) != len(functions):
        found.find(Rule.OPERATOR, "two functions of one name; export again")


def _check_graph(found: Scan, graph: Message, calls: Calls, depth: int) -> None:
    if depth > _DEEPEST:
        raise Malformed(f"graphs in graphs, deeper than {_DEEPEST}")
    _check_tensors(found, graph.messages(_Graph.INITIALIZER))
    _check_sparse(found, graph.messages(_Graph.SPARSE))
    _check_nodes(found, graph.messages(_Graph.NODE), calls, depth)


def _check_nodes(found: Scan, nodes: Iterable[Message], calls: Calls, depth: int) -> None:
    for node in nodes:
        found.operators += 1
        _check_operator(found, node, calls)
        for attribute in node.messages(_Node.ATTRIBUTE):
            _check_attribute(found, attribute, calls, depth)


def _check_operator(found: Scan, node: Message, calls: Calls) -> None:
    domain, operator = node.text(_Node.DOMAIN), node.text(_Node.OPERATOR)
    if (domain, operator) in found.calls:
        calls.add((domain, operator))
    elif domain not in STANDARD and domain not in found.domains:
        says = f"operator {shown(operator)} of domain {shown(domain)}"
        finding = Finding(
            found.file, Rule.OPERATOR, f"{says}: is custom; declare the domain, or export without"
        )
        if finding not in found.findings:
            found.findings.append(finding)


def _check_attribute(found: Scan, attribute: Message, calls: Calls, depth: int) -> None:
    for number, value in attribute.fields():
        if not isinstance(value, memoryview):
            continue
        part = Message(value, attribute.budget)
        match number:
            case _Attribute.TENSOR | _Attribute.TENSORS:
                _check_tensors(found, [part])
            case _Attribute.SPARSE | _Attribute.SPARSES:
                _check_sparse(found, [part])
            case _Attribute.GRAPH | _Attribute.GRAPHS:
                _check_graph(found, part, calls, depth + 1)


def _check_sparse(found: Scan, tensors: Iterable[Message]) -> None:
    for tensor in tensors:
        _check_tensors(found, tensor.messages(1))
        _check_tensors(found, tensor.messages(2))


def _check_tensors(found: Scan, tensors: Iterable[Message]) -> None:
    for tensor in tensors:
        found.tensors += 1
        _check_tensor(found, tensor)


def _check_tensor(found: Scan, tensor: Message) -> None:
    name, kind = shown(tensor.text(_Tensor.NAME)), tensor.number(_Tensor.TYPE)
    elements = _elements(tensor)
    if elements < 0 or (kind not in _HALF_BYTES and kind != _TEXT):
        found.find(Rule.BROKEN, f"tensor {name}: of unknown type or of no possible size")
        return
    needs = -(-elements * _HALF_BYTES.get(kind, 2) // 2)
    if tensor.number(_Tensor.PLACE) == _EXTERNAL or any(tensor.each(_Tensor.WHERE)):
        _check_external(found, tensor, name, needs)
    elif tensor.has(_Tensor.RAW):
        if len(tensor.message(_Tensor.RAW).data) != needs:
            found.find(Rule.BROKEN, f"tensor {name}: its bytes do not fill its shape")
    elif elements > _values(tensor):
        found.find(Rule.BROKEN, f"tensor {name}: has fewer values than its shape says")


def _elements(tensor: Message) -> int:
    """Return how many elements a tensor has by its shape; -1 where it can have none."""
    sizes = list[int]()
    for number, value in tensor.fields():
        if number == _Tensor.DIMENSIONS:
            sizes += numbers(value) if isinstance(value, memoryview) else [signed(value)]
        if len(sizes) > _MOST_DIMENSIONS:
            return -1
    count = 1
    for size in sizes:
        count = min(count * size, 1 << 62) if size >= 0 else -1
        if count < 0:
            return -1
    return count


def _values(tensor: Message) -> int:
    """Return how many values a tensor can hold in its typed fields, counted in bytes."""
    texts = sum(1 for _ in tensor.each(_Tensor.TEXTS))
    return texts + sum(
        len(value) if isinstance(value, memoryview) else 1
        for number, value in tensor.fields()
        if number in _TYPED
    )


def _check_external(found: Scan, tensor: Message, name: str, needs: int) -> None:
    said = [(entry.text(1), entry.text(2)) for entry in tensor.messages(_Tensor.WHERE)]
    where = dict(said)
    if len(where) != len(said) or where.keys() - _KEYS or "basepath" in where:
        found.find(Rule.EXTERNAL_DATA, f"tensor {name}: says twice or oddly where its data lie")
        return
    location = where.get("location", "")
    if not is_inside(location) or _beside(found.file, location) not in found.sizes:
        says = f"tensor {name}: its data lie at {shown(location)}"
        found.find(
            Rule.EXTERNAL_DATA, f"{says}; expected a plain file of the folder, without links"
        )
        return
    start, size = _number(where.get("offset", "0")), _number(where.get("length", str(needs)))
    file = _beside(found.file, location)
    if start < 0 or size != needs or start + size > found.sizes[file]:
        says = f"tensor {name}: {size} bytes from {start} of {shown(location)}"
        found.find(
            Rule.EXTERNAL_DATA, f"{says}; it needs {needs}, the file has {found.sizes[file]}"
        )
        return
    found.spans.append(Span(file, start, size))


def is_inside(location: str) -> bool:
    """Say whether a location stays below the folder of its graph on every system."""
    parts = location.split("/")
    odd = any(letter in location for letter in "\\:\0") or not location.isprintable()
    return not odd and all(part not in ("", ".", "..") for part in parts)


def _beside(file: str, location: str) -> str:
    return (pathlib.PurePosixPath(file).parent / location).as_posix()


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1


def _check_cycles(found: Scan) -> None:
    """Refuse functions that call themselves: a runtime that unfolds them does not end."""
    waiting = {function: set(calls) for function, calls in found.calls.items()}
    while ready := [function for function, calls in waiting.items() if not calls]:
        for function in ready:
            del waiting[function]
        for calls in waiting.values():
            calls.difference_update(ready)
    for domain, name in sorted(waiting):
        found.find(Rule.OPERATOR, f"function {shown(domain)} {shown(name)}: calls itself")


def _check_spans(found: Scan) -> None:
    """Refuse bytes beside the graph that belong to no tensor."""
    for file in sorted({span.file for span in found.spans}):
        at = 0
        ends = sorted((s.start, s.start + s.size) for s in found.spans if s.file == file)
        for start, end in [*ends, (found.sizes[file], found.sizes[file])]:
            if start - at > _MOST_GAP:
                says = f"{start - at} bytes from {at} belong to no tensor of {found.file}"
                found.findings.append(Finding(file, Rule.HIDDEN_BYTES, says))
            at = max(at, end)
