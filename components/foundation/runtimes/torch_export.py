"""Programs of torch.export, on PyTorch; imported only where one is served."""

import contextlib
import pathlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from components.foundation.errors import UserError
from components.foundation.runtimes import pt2_archive
from components.foundation.runtimes.program import Port
from components.foundation.signature import DTYPES, Array, Signature

if TYPE_CHECKING:
    import torch

_DATATYPES: Final = {
    "torch.bool": "BOOL",
    "torch.uint8": "UINT8",
    "torch.uint16": "UINT16",
    "torch.uint32": "UINT32",
    "torch.uint64": "UINT64",
    "torch.int8": "INT8",
    "torch.int16": "INT16",
    "torch.int32": "INT32",
    "torch.int64": "INT64",
    "torch.float16": "FP16",
    "torch.bfloat16": "BF16",
    "torch.float32": "FP32",
    "torch.float64": "FP64",
}


@dataclass(frozen=True, slots=True)
class TorchProgram:
    """An exported program, called with tensors in its own order.

    Attributes:
        positional: how many inputs it takes by place; the rest by name.
    """

    module: "torch.nn.Module"
    inputs: Mapping[str, Port]
    outputs: Mapping[str, Port]
    positional: int

    platform = "torch_export"

    @classmethod
    def open(cls, file: pathlib.Path, *, signature: Signature, threads: int) -> Self:
        """Load a program that only computes.

        Outputs that the program does not name are the signature's, in its order.

        Raises:
            UserError: it cannot be loaded, might run code, or keeps state between calls.
        """
        import torch

        torch.set_num_threads(threads)
        # Inputs are read only where they lie in a request's bytes, and no program writes them.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        program = _load(file)
        order, positional = _order(file, program)
        inputs, outputs = _inputs(program, order), _outputs(file, program, signature)
        opened = cls(program.module(check_guards=False), inputs, outputs, positional)
        if all(port.datatype in DTYPES for port in inputs.values()):  # else it is refused anyway
            opened.refuse_state(file)
        return opened

    def predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        import torch

        with torch.inference_mode():
            found = self._call({n: _tensor(inputs[n], port) for n, port in self.inputs.items()})
            return {name: _array(value) for name, value in _named(found, self.outputs).items()}

    def refuse_state(self, file: pathlib.Path) -> None:
        """Raise UserError where a row of zeros changes the program's tensors, or itself.

        It is tried, since a graph does not tell: batch normalisation in training mode writes
        its averages behind the graph's back.
        """
        import torch

        row = {name: _tensor(_zeros(port), port) for name, port in self.inputs.items()}
        held = {**row, **dict(self.module.named_buffers()), **dict(self.module.named_parameters())}
        before = {name: (values._version, _copy(values)) for name, values in held.items()}
        with torch.no_grad(), contextlib.suppress(Exception):  # the warm-up tells what fails
            self._call(row)
        for name, values in held.items():
            version, copy = before[name]
            if values._version != version or not _same(values, copy):
                raise UserError(
                    f"{file}: changes {name} as it predicts, so answers would depend on each "
                    "other; export it in evaluation mode",
                    code="program-stateful",
                )

    def _call(self, given: Mapping[str, "torch.Tensor"]) -> Any:
        names = list(given)
        by_name = {name: given[name] for name in names[self.positional :]}
        return self.module(*(given[name] for name in names[: self.positional]), **by_name)


def _load(file: pathlib.Path) -> "torch.export.ExportedProgram":
    import torch

    try:
        pt2_archive.check(file)
        return torch.export.load(file)
    except UserError:
        raise
    # torch raises many classes over Exception; each means that the file does not load.
    except Exception as error:
        raise UserError(
            f"{file}: PyTorch {torch.__version__} cannot load it: {error}; export it again",
            code="model-unloadable",
        ) from error


def _order(file: pathlib.Path, program: "torch.export.ExportedProgram") -> tuple[list[str], int]:
    """Return the names of the inputs as the program takes them, and how many go by place."""
    call = _form(program)
    positional, named = call.in_spec.children()
    by_place = (call.forward_arg_names or [])[: positional.num_children]
    order = [*by_place, *named.context]
    tree = [*positional.children(), *named.children()]
    if not order or len(order) != len(tree) or not all(spec.is_leaf() for spec in tree):
        raise UserError(
            f"{file}: takes nested or unnamed inputs; export a forward that takes one tensor an "
            "input",
            code="model-signature-mismatch",
        )
    return order, len(by_place)


def _inputs(program: "torch.export.ExportedProgram", order: list[str]) -> dict[str, Port]:
    values = _values(program)
    places = program.graph_signature.user_inputs
    return {name: _port(values.get(place)) for name, place in zip(order, places, strict=True)}


def _outputs(
    file: pathlib.Path, program: "torch.export.ExportedProgram", signature: Signature
) -> dict[str, Port]:
    values, places = _values(program), program.graph_signature.user_outputs
    gives: Any = _form(program).out_spec
    named = gives.context if gives.type is dict else None
    names = named or [tensor.name for tensor in signature.outputs]
    if len(names) != len(places):
        raise UserError(
            f"{file}: gives {len(places)} outputs, the signature has {len(names)}; export the "
            "model and its signature together",
            code="model-signature-mismatch",
        )
    return {name: _port(values.get(place)) for name, place in zip(names, places, strict=True)}


def _form(program: "torch.export.ExportedProgram") -> Any:
    """Return how the whole program is called; it always has this."""
    return program.module_call_graph[0].signature


def _values(program: "torch.export.ExportedProgram") -> dict[Any, Any]:
    return {node.name: node.meta.get("val") for node in program.graph.nodes}


def _port(value: Any) -> Port:
    import torch

    if not isinstance(value, torch.Tensor):
        return Port("no tensor", ())
    sizes: tuple[Any, ...] = value.shape  # symbols, where they are open
    shape = tuple(size if isinstance(size, int) else -1 for size in sizes)
    return Port(_DATATYPES.get(str(value.dtype), str(value.dtype)), shape)


def _copy(values: "torch.Tensor") -> "torch.Tensor":
    """Copy what may be written unseen; weights may not, and may be large."""
    import torch

    return values if isinstance(values, torch.nn.Parameter) else values.clone()


def _same(one: "torch.Tensor", other: "torch.Tensor") -> bool:
    import torch

    return torch.equal(one, other) or torch.equal(one.nan_to_num(), other.nan_to_num())


def _zeros(port: Port) -> Array:
    return np.zeros([max(size, 1) for size in port.shape], DTYPES[port.datatype])


def _tensor(values: Array, port: Port) -> "torch.Tensor":
    import torch

    tensor = torch.from_numpy(np.ascontiguousarray(values).reshape(values.shape))
    return tensor.to(torch.bfloat16) if port.datatype == "BF16" else tensor


def _named(found: Any, outputs: Mapping[str, Port]) -> dict[str, "torch.Tensor"]:
    import torch

    if isinstance(found, dict):
        return found
    values = (found,) if isinstance(found, torch.Tensor) else found
    return dict(zip(outputs, values, strict=True))


def _array(tensor: "torch.Tensor") -> Array:
    import torch

    held = tensor.float() if tensor.dtype == torch.bfloat16 else tensor
    array: Array = held.contiguous().numpy()
    return array
