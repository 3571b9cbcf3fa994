"""What a graph of TensorFlow may hold, so that a model only computes.

TensorFlow's graphs are programs: there are operators that read and write files, call Python,
open connections, or hold another graph as bytes. An operator is allowed if TensorFlow knows it,
and it has no effects, or is one of the few with effects that models are made of. The saver's own
functions read and write checkpoints; they may lie in the file, but nothing may call them.
"""

import pathlib
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from components.foundation.errors import UserError

if TYPE_CHECKING:
    from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

GRAPH: Final = "saved_model.pb"
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


def check(folder: pathlib.Path) -> None:
    """Raise UserError naming what of a SavedModel could do more than compute."""
    for name in _OTHER_FORMS:
        if (folder / name).exists():
            raise _unsafe(folder / name, "a second form of the graph")
    file = folder / GRAPH
    graph = _meta_graph(file)
    saver = _saver(graph)
    _check_nodes(file, graph.graph_def.node, saver=False)
    for function in graph.graph_def.library.function:
        _check_nodes(file, function.node_def, saver=function.signature.name in saver)


def _meta_graph(file: pathlib.Path) -> "meta_graph_pb2.MetaGraphDef":
    model = _parsed(file)
    if len(model.meta_graphs) != 1 or not model.meta_graphs[0].HasField("object_graph_def"):
        raise UserError(
            f"{file}: is not one graph with its objects; save it with tf.saved_model.save of "
            "TensorFlow 2",
            code="model-unloadable",
        )
    return model.meta_graphs[0]


def _parsed(file: pathlib.Path) -> "saved_model_pb2.SavedModel":
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel()
    try:
        model.ParseFromString(file.read_bytes())
    except FileNotFoundError:
        raise UserError(
            f"{file}: missing; expected a SavedModel", code="model-folder-incomplete"
        ) from None
    except DecodeError as error:
        raise UserError(
            f"{file}: is no SavedModel: {error}; save it again", code="model-unloadable"
        ) from error
    return model


def _saver(graph: "meta_graph_pb2.MetaGraphDef") -> set[str]:
    """Return the functions that only a saver calls, and nothing that a server runs."""
    ends = {graph.saver_def.save_tensor_name.split(":")[0], graph.saver_def.restore_op_name}
    library = graph.graph_def.library.function
    savers = {name for node in graph.graph_def.node if node.name in ends for name in _names(node)}
    called = {name for function in library for node in function.node_def for name in _names(node)}
    # The optimizer may put a function in the place of another that does the same by its word.
    stand_ins = {
        function.signature.name for function in library if "api_implements" in function.attr
    }
    return savers - called - stand_ins - set(_objects(graph.object_graph_def))


def _names(node: Any) -> Iterator[str]:
    """Yield every function that an operator names."""
    yield node.op
    waiting = [*node.attr.values()]
    while waiting:
        value = waiting.pop()
        for function in (value.func, *value.list.func):
            yield function.name
            waiting += function.attr.values()


def _objects(graph: Any) -> Iterator[str]:
    """Yield every function that a loaded object could call."""
    yield from graph.concrete_functions
    for node in graph.nodes:
        yield from node.function.concrete_functions
        yield node.bare_concrete_function.concrete_function_name


def _check_nodes(file: pathlib.Path, nodes: Iterable[Any], *, saver: bool) -> None:
    from tensorflow.python.framework import op_def_registry

    for node in nodes:
        if saver and node.op in _SAVER:
            continue
        known = op_def_registry.get(node.op)
        if known is None or _OUTSIDE.fullmatch(node.op):
            raise _unsafe(file, f"operator {node.op}")
        if known.is_stateful and node.op not in _INSIDE:
            raise _unsafe(file, f"operator {node.op}")


def _unsafe(file: pathlib.Path, what: str) -> UserError:
    return UserError(
        f"{file}: {what}: may reach files, programs or the network; build the model without it, "
        "or serve it as ONNX",
        code="program-unsafe",
    )
