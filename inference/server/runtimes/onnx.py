"""A model folder as something that predicts, once it is what its signature says."""

import functools
import json
import pathlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from components.foundation import digests, onnx_runtime
from components.foundation.errors import UserError
from components.foundation.signature import Array, Signature, Tensor
from inference.server.runtimes import onnx_values

if TYPE_CHECKING:
    import onnxruntime

_MODEL, _SIGNATURE, _RELEASE = "model.onnx", "signature.json", "release.json"


@dataclass(frozen=True)
class Model:
    """A model ready to predict, from any number of threads at once."""

    name: str
    version: str
    signature: Signature
    session: "onnxruntime.InferenceSession"

    @classmethod
    def load(cls, folder: pathlib.Path, *, name: str, threads: int = 1) -> Self:
        """Load a folder, opened from a release or plain, and predict once.

        Args:
            folder: holds model.onnx and signature.json; release.json if it was sealed.
            name: what the model is called in requests.
            threads: how many threads one prediction uses.

        Raises:
            UserError: a file is missing or changed, or the model does not fit its signature.
        """
        version = _version(folder, name)
        signature = Signature.from_dict(_json(folder / _SIGNATURE))
        session = onnx_runtime.open_session(folder / _MODEL, threads=threads)
        model = cls(name, version, signature, session)
        model.check_signature()
        model.warm_up()
        return model

    platform = "onnxruntime_onnx"

    @functools.cached_property
    def plain(self) -> bool:
        """Whether ONNX Runtime takes and gives our arrays as they are."""
        return onnx_values.are_the_same(self.signature)

    @property
    def batches(self) -> bool:
        """Whether any number of rows may be predicted together."""
        tensors = (*self.signature.inputs, *self.signature.outputs)
        return all(tensor.shape[:1] == (-1,) for tensor in tensors)

    def predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return every output by name; raises what the model raises, and Rejected."""
        if self.plain:
            return onnx_runtime.predict(self.session, self.signature, inputs)
        return onnx_values.predict(self.session, self.signature, inputs)

    def check_signature(self) -> None:
        """Raise UserError unless the model takes and gives what the signature says."""
        if impossible := onnx_values.cannot(self.signature):
            raise UserError(f"{self.name}: {impossible}", code="model-signature-mismatch")
        for kind, said, found in (
            ("input", self.signature.inputs, self.session.get_inputs()),
            ("output", self.signature.outputs, self.session.get_outputs()),
        ):
            there = {node.name: node for node in found}
            for name in sorted({tensor.name for tensor in said} ^ there.keys()):
                side = "the model lacks it" if name not in there else "the signature lacks it"
                raise UserError(
                    f"{self.name}: {kind} {name!r}: {side}; {_EXPORT}",
                    code="model-signature-mismatch",
                )
            for tensor in said:
                self._check_tensor(kind, tensor, there[tensor.name])

    def _check_tensor(self, kind: str, tensor: Tensor, node: Any) -> None:
        shape = tuple(size if isinstance(size, int) else -1 for size in node.shape)
        datatype = onnx_values.DATATYPES.get(node.type, node.type)
        if (datatype, shape) != (tensor.datatype, tensor.shape):
            raise UserError(
                f"{self.name}: {kind} {tensor.name!r}: the model has {datatype} {list(shape)}, the "
                f"signature {tensor.datatype} {list(tensor.shape)}; {_EXPORT}",
                code="model-signature-mismatch",
            )

    def warm_up(self) -> None:
        """Predict a row of zeros, so that the first request finds everything in place."""
        row = {tensor.name: _zeros(tensor) for tensor in self.signature.inputs}
        try:
            self.predict(row)
        # onnxruntime raises many classes over Exception; each means that the model cannot predict.
        except Exception as error:
            raise UserError(
                f"{self.name}: fails on a row of zeros: {error}; {_EXPORT}", code="model-fails"
            ) from error


def _zeros(tensor: Tensor) -> Array:
    shape = [max(size, 1) for size in tensor.shape]
    if tensor.datatype == "BYTES":
        return np.full(shape, b"", object)
    return np.zeros(shape, tensor.dtype)


_EXPORT = "export the model and its signature together"


def _version(folder: pathlib.Path, name: str) -> str:
    """Return the release's version, "0" for a plain folder; refuse files that changed since."""
    if not (folder / _RELEASE).exists():
        return "0"
    release = _json(folder / _RELEASE)
    for path, digest in release["files"].items():
        got = digests.of_file(folder / path) if (folder / path).exists() else "missing"
        if str(got) != digest:
            raise UserError(
                f"{folder / path}: is {got}, the release has {digest}; unseal it again",
                code="served-file-changed",
            )
    if release["model"] != name:
        raise UserError(
            f"{folder}: holds a release of {release['model']!r}, asked to serve {name!r}; name the "
            "model as it was sealed",
            code="release-of-another-model",
        )
    return str(release["version"])


def _json(path: pathlib.Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UserError(
            f"{path}: missing; expected the folder of an ONNX model", code="model-folder-incomplete"
        ) from None
    except ValueError as error:
        raise UserError(
            f"{path}: {error}; expected JSON", code="model-folder-incomplete"
        ) from error
    if not isinstance(value, dict):
        raise UserError(f"{path}: expected a JSON object", code="model-folder-incomplete")
    return value
