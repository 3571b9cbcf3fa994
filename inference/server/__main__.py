"""Serve one model folder.

    python -m inference.server --model_name delays --model_dir /mnt/models --http_port 8080

The object store for observations comes by the AWS_* names. Exit code 2 means that the
folder is not what its signature or its release says; SIGTERM drains.
"""

import argparse
import contextlib
import logging
import os
import pathlib
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from components.foundation.errors import FalajError, UserError
from inference.observer.observation import Source
from inference.observer.sinks import sink
from inference.observer.spool import Limits, Spool
from inference.server.app import App
from inference.server.runtimes.onnx import Model
from inference.server.telemetry.metrics import Metrics

_LOG = logging.getLogger("server")


def main(argv: Sequence[str] | None = None) -> int:
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", stream=sys.stderr)
    arguments = _parser().parse_args(argv)
    try:
        with _app(arguments) as app:
            _serve(app, _bind(arguments.host, arguments.http_port))
    except FalajError as error:
        _LOG.error("%s", error.shown)
        return error.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m inference.server",
        description="Serve an ONNX model over the Open Inference Protocol v2.",
        epilog="example: python -m inference.server --model_name delays --model_dir m "
        "--http_port 8080 --observations s3://falaj-raw/observations/delays",
    )
    add = parser.add_argument
    add("--model_name", required=True, help="what requests call the model")
    add("--model_dir", required=True, type=pathlib.Path, help="model.onnx and signature.json")
    add("--http_port", type=int, default=8080, help="0 takes a free one (default 8080)")
    add("--host", default="127.0.0.1", help="0.0.0.0 in a pod (default 127.0.0.1)")
    add("--variant", default="a", help="label of metrics and observations (default a)")
    add("--observations", metavar="DIR|s3://...", help="where observation parts go (default: none)")
    add("--spool_dir", type=pathlib.Path, default="/tmp/falaj-spool", help="what waits for there")  # noqa: S108
    add("--spool_mib", type=int, default=256, help="how much may wait (default 256)")
    add("--threads", type=int, default=1, help="threads of one prediction (default 1)")
    add("--concurrency", type=int, default=_cores(), help="predictions at once (default: cores)")
    add("--max_body_mib", type=int, default=64, help="largest request body (default 64)")
    return parser


def _cores() -> int:
    return len(os.sched_getaffinity(0))


@contextlib.contextmanager
def _app(arguments: argparse.Namespace) -> Iterator[App]:
    """Load the model and what stands around it; at the end let work and observations finish."""
    name = arguments.model_name
    model = Model.load(arguments.model_dir, name=name, threads=arguments.threads)
    metrics = Metrics(name, model.version, arguments.variant)
    with contextlib.ExitStack() as stack:
        spool = None
        if arguments.observations:
            source = Source(name, model.version, arguments.variant)
            where = sink(arguments.observations, os.environ)
            limits = Limits(spool_bytes=arguments.spool_mib << 20)
            folder = arguments.spool_dir
            spool = Spool.open(source, where, folder, dropped=metrics.dropped, limits=limits)
            stack.callback(spool.close)
        pool = stack.enter_context(ThreadPoolExecutor(arguments.concurrency, "predict"))
        yield App(model, metrics, pool, spool, arguments.max_body_mib << 20)


def _bind(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), backlog=2048)
    except OSError as error:
        raise UserError(
            f"{host}:{port}: {error.strerror}; name another port", code="port-taken"
        ) from error


def _serve(app: App, listener: socket.socket) -> None:
    from inference.server.http import Server

    # uvicorn raises the signal again once it has drained; by then there is nothing left to end.
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGINT, lambda *_: None)
    host, port = listener.getsockname()[:2]
    model = app.model
    _LOG.info("%s, version %s, on http://%s:%d", model.name, model.version, host, port)
    Server(app).run(sockets=[listener])
    _LOG.info("drained")


if __name__ == "__main__":
    sys.exit(main())
