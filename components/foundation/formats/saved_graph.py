"""What a graph of TensorFlow may hold, so that a model only computes.

TensorFlow's graphs are programs: there are operators that read and write files, call Python,
open connections, or hold another graph as bytes. An operator is allowed if TensorFlow knows it,
and it has no effects, or is one of the few with effects that models are made of. The saver's own
functions read and write checkpoints; they may lie in the file, but nothing may call them.

Whoever serves a model and whoever scans one ask here, with TensorFlow installed or not: what it
knows without effects stands in tensorflow_operators.json, which a test holds against TensorFlow.
"""

import functools
import json
import pathlib
import re
from collections.abc import Iterable, Iterator
from typing import Final

from components.foundation.errors import UserError
from components.foundation.formats.wire import Malformed, Message, text_of

GRAPH: Final = "saved_model.pb"
_KNOWN: Final = pathlib.Path(__file__).with_name("tensorflow_operators.json")
_MOST_BYTES: Final = 1 << 31  # what a protocol buffer may have
_OTHER_FORMS: Final = ("saved_model.pbtxt", "saved_model.cpb")  # TensorFlow might read these

# With effects, all of them inside the model: its variables, tables, calls and random numbers.
_INSIDE: Final = frozenset(
    {"VarHandleOp", "ReadVariableOp", "VarIsInitializedOp", "DisableCopyOnRead", "VariableShape"}
    | {"AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp"}
    | {"ResourceGather", "ResourceGatherNd", "GuaranteeConst", "DeepCopy", "Empty", "Assert"}
    | {"StatefulPartitionedCall", "If", "While", "Case", "CheckNumerics", "CheckNumericsV2"}
    | {"HashTable", "HashTableV2", "MutableHashTableV2", "AnonymousHashTable"}
    | {"InitializeTableV2", "LookupTableFindV2", "LookupTableImportV2", "LookupTableSizeV2"}
    | {"TensorArrayV3", "TensorArrayReadV3", "TensorArrayWriteV3", "TensorArrayGatherV3"}
    | {"TensorArrayScatterV3", "TensorArraySizeV3", "TensorArrayCloseV3", "TensorArrayConcatV3"}
    | {"RandomUniform", "RandomUniformInt", "RandomStandardNormal", "TruncatedNormal"}
    | {"StatelessRandomGetAlg", "Multinomial"}
)
_SAVER: Final = frozenset({"SaveV2", "RestoreV2", "MergeV2Checkpoints", "ShardedFilename"})

# Said to have no effects, and yet: files, Python, other graphs as bytes, debuggers' addresses.
_OUTSIDE: Final = re.compile(
    r"_.*|.*(Dataset|File|PyFunc|Snapshot|Iterator|Debug|Proto|VocabRemapping|Checkpoint).*"
    r"|GetOptions|GetElementAtIndex|TPU.*|RemoteFusedGraphExecute|ShardedFilespec|.*Rpc.*"
)

# Numbers of fields, as TensorFlow's own .proto files have them.
_NAME: Final = 1  # of an OpDef, a NameAttrList, and what a saved function lists
_KEY, _VALUE = 1, 2  # of a map's entries
_FUNC_ATTR: Final = 2
_LIST_FUNC: Final = 9


class _Model:
    META_GRAPHS = 2


class _Meta:
    GRAPH, SAVER, OBJECTS = 2, 3, 7


class _Graph:
    NODE, LIBRARY = 1, 2


class _Library:
    FUNCTION = 1


class _Function:
    SIGNATURE, NODE, ATTR = 1, 3, 5


class _Node:
    NAME, OP, ATTR = 1, 2, 5


class _Attr:
    LIST, FUNC = 1, 10


class _Saver:
    SAVE_TENSOR, RESTORE_OP = 2, 3


class _Objects:
    NODES, CONCRETE = 1, 2


class _Object:
    FUNCTION, BARE = 6, 8


def check(folder: pathlib.Path) -> int:
    """Return how many operators a SavedModel has.

    Raises:
        UserError: it is none, or could do more than compute; the message names the operator.
    """
    for name in _OTHER_FORMS:
        if (folder / name).exists():
            raise _unsafe(folder / name, "a second form of the graph")
    file = folder / GRAPH
    try:
        return _check_model(file, Message(_read(file)))
    except Malformed as error:
        raise UserError(
            f"{file}: is no SavedModel: {error}; save it again", code="model-unloadable"
        ) from error


@functools.cache
def without_effects() -> frozenset[str]:
    """Return the operators that TensorFlow knows and that reach nothing."""
    return frozenset(json.loads(_KNOWN.read_text())["operators"])


def may_run(operator: str) -> bool:
    """Say whether an operator only computes, or changes only what is inside the model."""
    return operator in without_effects() or operator in _INSIDE


def reaches_outside(operator: str) -> bool:
    """Say whether an operator that is said to have no effects has some all the same."""
    return _OUTSIDE.fullmatch(operator) is not None


def _read(file: pathlib.Path) -> memoryview:
    try:
        size = file.stat().st_size
        if size > _MOST_BYTES:
            raise Malformed(f"{size} bytes, more than a protocol buffer may have")
        return memoryview(file.read_bytes())
    except FileNotFoundError:
        raise UserError(
            f"{file}: missing; expected a SavedModel", code="model-folder-incomplete"
        ) from None


def _check_model(file: pathlib.Path, model: Message) -> int:
    graphs = list(model.messages(_Model.META_GRAPHS))
    if len(graphs) != 1 or not graphs[0].has(_Meta.OBJECTS):
        raise UserError(
            f"{file}: is not one graph with its objects; save it with tf.saved_model.save of "
            "TensorFlow 2",
            code="model-unloadable",
        )
    graph = graphs[0].message(_Meta.GRAPH)
    functions = list(graph.message(_Graph.LIBRARY).messages(_Library.FUNCTION))
    saver = _saver(graphs[0], functions)
    checked = _check_nodes(file, graph.messages(_Graph.NODE), saver=False)
    for function in functions:
        nodes = function.messages(_Function.NODE)
        checked += _check_nodes(file, nodes, saver=_name(function) in saver)
    return checked


def _saver(meta: Message, functions: list[Message]) -> set[str]:
    """Return the functions that only a saver calls, and nothing that a server runs."""
    saver_def, graph = meta.message(_Meta.SAVER), meta.message(_Meta.GRAPH)
    saves = saver_def.text(_Saver.SAVE_TENSOR).split(":")[0]
    ends = {saves, saver_def.text(_Saver.RESTORE_OP)}
    nodes = (node for node in graph.messages(_Graph.NODE) if node.text(_Node.NAME) in ends)
    savers = {name for node in nodes for name in _names(node)}
    inner = (node for function in functions for node in function.messages(_Function.NODE))
    called = {name for node in inner for name in _names(node)}
    # The optimizer may put a function in the place of another that does the same by its word.
    stand_ins = {_name(f) for f in functions if "api_implements" in _keys(f, _Function.ATTR)}
    return savers - called - stand_ins - set(_objects(meta.message(_Meta.OBJECTS)))


def _name(function: Message) -> str:
    return function.message(_Function.SIGNATURE).text(_NAME)


def _keys(message: Message, number: int) -> set[str]:
    return {entry.text(_KEY) for entry in message.messages(number)}


def _names(node: Message) -> Iterator[str]:
    """Yield every function that an operator names."""
    yield node.text(_Node.OP)
    waiting = [entry.message(_VALUE) for entry in node.messages(_Node.ATTR)]
    while waiting:
        value = waiting.pop()
        lists = (f for several in value.messages(_Attr.LIST) for f in several.messages(_LIST_FUNC))
        for function in (*value.messages(_Attr.FUNC), *lists):
            yield function.text(_NAME)
            waiting += (entry.message(_VALUE) for entry in function.messages(_FUNC_ATTR))


def _objects(objects: Message) -> Iterator[str]:
    """Yield every function that a loaded object could call."""
    yield from _keys(objects, _Objects.CONCRETE)
    for node in objects.messages(_Objects.NODES):
        for function in node.messages(_Object.FUNCTION):
            yield from map(text_of, function.each(_NAME))
        for bare in node.messages(_Object.BARE):
            yield bare.text(_NAME)


def _check_nodes(file: pathlib.Path, nodes: Iterable[Message], *, saver: bool) -> int:
    count = 0
    for node in nodes:
        count += 1
        operator = node.text(_Node.OP)
        if saver and operator in _SAVER:
            continue
        if reaches_outside(operator) or not may_run(operator):
            raise _unsafe(file, f"operator {operator[:80]}")
    return count


def _unsafe(file: pathlib.Path, what: str) -> UserError:
    return UserError(
        f"{file}: {what}: may reach files, programs or the network; build the model without it, "
        "or serve it as ONNX",
        code="program-unsafe",
    )
