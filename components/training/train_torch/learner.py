"""A PyTorch module and its optimiser behind the shared loop."""

import io
import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, assert_never

import numpy as np

from components.foundation.errors import UserError
from components.training.artifact import PROGRAM
from components.training.data import Arrays, Batch, Floats32
from components.training.objective import Loss, Objective
from components.training.plan import Plan
from components.training.spec import Spec

if TYPE_CHECKING:
    import torch

_CHUNK = 65_536  # rows scored at once


def start(build: Callable[[], Any], spec: Spec, plan: Plan) -> "TorchLearner":
    """Seed everything, then build the model: initial weights depend on the seed only.

    Raises:
        UserError: the user's function did not return a torch.nn.Module.
    """
    import torch

    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)  # sums in the same order on any number of cores
    torch.manual_seed(plan.seed)
    module = build()
    if not isinstance(module, torch.nn.Module):
        raise UserError(
            f"the training function returned {type(module).__name__}; expected a torch.nn.Module "
            "that takes one tensor an input by name and returns a number a row",
            code="training-no-model",
        )
    return TorchLearner(module, spec, plan)


class TorchLearner:
    """AdamW on the objective's loss."""

    def __init__(self, module: "torch.nn.Module", spec: Spec, plan: Plan) -> None:
        import torch

        self._module = module
        self._signature = spec.signature
        self._objective = spec.objective
        self._seed = plan.seed
        self._optimiser = torch.optim.AdamW(
            module.parameters(), lr=plan.steps.learning_rate, weight_decay=plan.steps.weight_decay
        )

    @property
    def framework(self) -> tuple[str, str]:
        import torch

        return "torch", str(torch.__version__)

    def begin(self, epoch: int) -> None:
        import torch

        torch.manual_seed(self._seed * 1_000_003 + epoch)

    def learn(self, batch: Batch) -> float:
        import torch

        self._module.train()
        raw = self._module(**_tensors(batch.inputs))
        targets = torch.from_numpy(self._objective.targets(batch.labels))
        loss = _loss(self._objective.loss, raw, targets, torch.from_numpy(batch.weights))
        self._optimiser.zero_grad()
        torch.autograd.backward(loss)
        self._optimiser.step()
        return float(loss.detach())

    def score(self, inputs: Arrays) -> Floats32:
        import torch

        self._module.eval()
        rows = len(next(iter(inputs.values())))
        with torch.no_grad():
            parts = [
                self._objective.answer(
                    self._module(**_tensors(inputs, start, start + _CHUNK)), torch.sigmoid
                ).numpy()
                for start in range(0, rows, _CHUNK)
            ]
        return np.concatenate(parts)

    def save(self) -> bytes:
        import torch

        file = io.BytesIO()
        torch.save([self._module.state_dict(), self._optimiser.state_dict()], file)
        return file.getvalue()

    def load(self, state: bytes) -> None:
        import torch

        weights, optimiser = torch.load(io.BytesIO(state), weights_only=True)
        self._module.load_state_dict(weights)
        self._optimiser.load_state_dict(optimiser)

    def weights(self) -> Arrays:
        return {name: value.numpy() for name, value in self._module.state_dict().items()}

    def export(self, folder: pathlib.Path) -> None:
        """Write `program.pt2`: tensors in the signature's order to what is served.

        It holds no training rows and no paths: examples are zeros, stack traces are dropped.
        """
        import torch

        names = [tensor.name for tensor in self._signature.inputs]
        served = _served(self._module.eval(), names, self._objective)
        examples = tuple(
            torch.from_numpy(np.zeros(2, tensor.dtype)) for tensor in self._signature.inputs
        )
        batch = torch.export.Dim("batch", min=1)
        shapes = {"arrays": tuple({0: batch} for _ in examples)}
        program = torch.export.export(served, examples, dynamic_shapes=shapes)
        for node in program.graph.nodes:
            node.meta.pop("stack_trace", None)
        torch.export.save(program, folder / PROGRAM)


def _loss(
    loss: Loss, raw: "torch.Tensor", targets: "torch.Tensor", weights: "torch.Tensor"
) -> "torch.Tensor":
    from torch.nn import functional

    match loss:
        case Loss.LOG_LOSS:
            return functional.binary_cross_entropy_with_logits(raw, targets, weight=weights)
        case Loss.SQUARED:
            return (weights * (raw - targets) ** 2).mean()
        case Loss.HUBER:
            return (weights * functional.huber_loss(raw, targets, reduction="none")).mean()
        case _:
            assert_never(loss)


def _served(module: "torch.nn.Module", names: list[str], objective: Objective) -> "torch.nn.Module":
    import torch

    class Served(torch.nn.Module):
        """Takes tensors by position, as runtimes give them; returns what is served."""

        def __init__(self) -> None:
            super().__init__()
            self.model = module

        def forward(self, *arrays: torch.Tensor) -> torch.Tensor:
            raw: torch.Tensor = self.model(**dict(zip(names, arrays, strict=True)))
            return objective.answer(raw, torch.sigmoid)

    return Served()


def _tensors(inputs: Arrays, start: int = 0, stop: int | None = None) -> dict[str, "torch.Tensor"]:
    import torch

    return {name: torch.from_numpy(array[start:stop]) for name, array in inputs.items()}
