"""The least that answers: Starlette, orjson and ONNX Runtime, with nothing checked.

    python bare_server.py NAME MODEL.ONNX HTTP_PORT

A ceiling for servers on Python's ASGI, no server to run: wrong requests crash or mislead it,
and a slow prediction holds up everything.
"""

import sys

import numpy as np
import onnxruntime
import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

name, path, port = sys.argv[1:]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(path, options)


async def infer(request: Request) -> Response:
    given = orjson.loads(await request.body())["inputs"][0]
    values = np.array(given["data"], np.float32).reshape(given["shape"])
    [answer] = session.run(None, {"x": values})
    output = {"name": "y", "datatype": "FP32", "shape": answer.shape, "data": answer.reshape(-1)}
    body = {"model_name": name, "outputs": [output]}
    return Response(
        orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json"
    )


async def live(_: Request) -> Response:
    return Response(b"{}", media_type="application/json")


if __name__ == "__main__":
    routes = [
        Route(f"/v2/models/{name}/infer", infer, methods=["POST"]),
        Route("/v2/health/live", live),
        Route("/v2/health/ready", live),
    ]
    uvicorn.run(
        Starlette(routes=routes),
        port=int(port),
        loop="uvloop",
        http="httptools",
        log_level="warning",
        access_log=False,
    )
