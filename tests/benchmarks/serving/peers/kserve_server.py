"""KServe's ModelServer over ONNX Runtime, as its guide for custom predictors shows it.

    python kserve_server.py NAME MODEL.ONNX HTTP_PORT GRPC_PORT [quiet]

`quiet` turns off the line that each request leaves in two logs.
"""

import copy
import sys
from typing import Any

import onnxruntime

name, path, http_port, grpc_port, *rest = sys.argv[1:]
# The import below reads the command line as its own.
sys.argv = [sys.argv[0], f"--http_port={http_port}", f"--grpc_port={grpc_port}"]

import kserve  # noqa: E402
from kserve.logging import KSERVE_LOG_CONFIG  # noqa: E402
from kserve.utils.utils import generate_uuid  # noqa: E402


class Predictor(kserve.Model):  # type: ignore[misc]  # kserve has no types
    """One input, one output."""

    def load(self) -> bool:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(path, options)
        self.ready = True
        return True

    def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> Any:
        [given] = payload.inputs
        [values] = self.session.run(None, {given.name: given.as_numpy()})
        output = kserve.InferOutput("y", list(values.shape), "FP32")
        output.set_data_from_numpy(values, binary_data=payload.from_grpc or _binary(payload))
        return kserve.InferResponse(payload.id or generate_uuid(), self.name, [output])


def _binary(payload: Any) -> bool:
    wanted = payload.request_outputs or ()
    return any((each.parameters or {}).get("binary_data") for each in wanted)


def _quiet() -> None:
    config = copy.deepcopy(KSERVE_LOG_CONFIG)
    for logger in config["loggers"].values():
        logger["level"] = "WARNING"
    kserve.logging.configure_logging(config)


if __name__ == "__main__":
    predictor = Predictor(name)
    predictor.load()
    quiet = rest == ["quiet"]
    server = kserve.ModelServer(enable_latency_logging=not quiet)
    if quiet:
        _quiet()
    server.start([predictor])
