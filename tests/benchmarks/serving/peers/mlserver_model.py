"""MLServer over ONNX Runtime.

    python mlserver_model.py start FOLDER

Run, it is MLServer's own command line; imported, it is the model that MLServer's settings name,
whose file comes as `uri`.
"""

import onnxruntime
from mlserver import MLModel
from mlserver.cli import main
from mlserver.codecs import NumpyCodec
from mlserver.types import (
    InferenceRequest,
    InferenceResponse,
)


class Predictor(MLModel):  # type: ignore[misc]  # MLServer has no types here
    """One input, one output."""

    async def load(self) -> bool:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(self.settings.parameters.uri, options)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        [given] = payload.inputs
        [values] = self.session.run(None, {given.name: NumpyCodec.decode_input(given)})
        output = NumpyCodec.encode_output("y", values)
        return InferenceResponse(model_name=self.name, id=payload.id, outputs=[output])


if __name__ == "__main__":
    main()
