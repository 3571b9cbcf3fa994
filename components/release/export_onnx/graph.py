"""An ONNX graph made fit to be served: names, an open batch, known operators, no paths."""

from typing import TYPE_CHECKING

from components.foundation.errors import UserError
from components.foundation.signature import Signature
from components.release.export_onnx import names

if TYPE_CHECKING:
    import onnx

_BATCH = "batch"


def finish(proto: "onnx.ModelProto", signature: Signature) -> bytes:
    """Return the bytes of a graph that is a function of the model only.

    Raises:
        UserError: an operator is not ONNX, the graph is not valid, or its inputs and
            outputs are not the signature's.
    """
    import onnx

    refuse_unknown(proto)
    _refuse_others(proto.graph, signature)
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = _BATCH
    _forget_sources(proto)
    names.renumber(proto.graph)
    try:
        onnx.checker.check_model(proto)
    except onnx.checker.ValidationError as error:
        raise UserError(
            f"the exported graph is not valid ONNX: {error}", code="onnx-malformed"
        ) from error
    content: bytes = proto.SerializeToString(deterministic=True)
    return content


def refuse_unknown(proto: "onnx.ModelProto") -> None:
    """Raise UserError naming operators that no ONNX runtime has."""
    import onnx

    nodes = [*proto.graph.node, *(n for f in proto.functions for n in f.node)]
    own = {function.name for function in proto.functions}
    unknown = {
        node.op_type
        for node in nodes
        if node.op_type not in own and not onnx.defs.has(node.op_type, node.domain)
    }
    if unknown:
        raise UserError(
            f"{', '.join(sorted(unknown))}: no such ONNX operator; build the model without it, "
            "for instance from basic tensor operations",
            code="onnx-operator",
        )


def _refuse_others(graph: "onnx.GraphProto", signature: Signature) -> None:
    for kind, got, wanted in (
        ("inputs", graph.input, signature.inputs),
        ("outputs", graph.output, signature.outputs),
    ):
        given, expected = [value.name for value in got], [tensor.name for tensor in wanted]
        if given != expected:
            raise UserError(
                f"the exported graph has {kind} {given}, the signature {expected}; "
                "does the model use every feature?",
                code="model-signature-mismatch",
            )


def _forget_sources(proto: "onnx.ModelProto") -> None:
    """Drop stack traces and names of files; they tell of the machine, not of the model."""
    graph = proto.graph
    del proto.metadata_props[:]
    proto.doc_string = ""
    del graph.metadata_props[:]
    graph.doc_string = ""
    values = (*graph.input, *graph.output, *graph.value_info)
    for part in (*graph.node, *values, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
