"""What the command line says, as a value."""

import argparse
import os
import pathlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from inference.server import batching
from inference.transport.options import (
    Bounded,
    add_bounds,
    add_listening,
    add_security,
    add_tokens,
    count,
)

_GRPC = "0 takes a free one (default: no gRPC)"
_UNSEALED = "serve a PyTorch or TensorFlow program that nobody signed"
_SPOOL = pathlib.Path(tempfile.gettempdir()) / "falaj-spool"


@dataclass(frozen=True, slots=True)
class Options(Bounded):
    """Everything that can be said to the server; named as on its command line."""

    model_name: str
    model_dir: pathlib.Path
    unsafe_unsealed_program: bool
    variant: str
    grpc_port: int | None
    workers: int
    threads: int
    concurrency: int
    queue: int
    batch_rows: int
    timeout_ms: int
    observations: str | None
    spool_dir: pathlib.Path
    spool_mib: int
    access_log: float
    oidc_issuer: str | None
    oidc_audience: str | None
    oidc_ca: pathlib.Path | None
    allow_anonymous: bool

    @classmethod
    def parse(cls, argv: Sequence[str] | None) -> Self:
        return cls.read(_parser(), argv)

    @property
    def timeout(self) -> float:
        """Seconds that a request may take, unless it says less."""
        return self.timeout_ms / 1000

    @property
    def queueing(self) -> batching.Limits:
        return batching.Limits(
            requests=self.queue, rows=self.batch_rows, concurrency=self.concurrency
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m inference.server",
        description="Serve a model over the Open Inference Protocol v2, HTTP and gRPC.",
        epilog="example: python -m inference.server --model_name delays --model_dir m "
        "--http_port 8080 --allow_plaintext --allow_anonymous",
    )
    _model(parser)
    add_listening(parser).add_argument("--grpc_port", type=int, help=_GRPC)
    _work(parser)
    add_bounds(parser)
    _telling(parser)
    _security(parser)
    return parser


def _model(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("model").add_argument
    add("--model_name", required=True, help="what requests call the model")
    add("--model_dir", required=True, type=pathlib.Path, help="the model and its signature.json")
    add("--unsafe_unsealed_program", action="store_true", help=_UNSEALED)
    add("--variant", default="a", help="label of metrics and observations (default a)")


def _work(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("work").add_argument
    add("--workers", type=count, default=1, help="processes on one port (default 1)")
    add("--threads", type=count, default=1, help="threads of one prediction (default 1)")
    add("--concurrency", type=count, default=_cores(), help="predictions at once (default: cores)")
    add("--queue", type=count, default=1024, help="requests that may wait (default 1024)")
    add("--batch_rows", type=count, default=256, help="rows predicted together (default 256)")
    add("--timeout_ms", type=count, default=10_000, help="for one request (default 10000)")


def _telling(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("telling").add_argument
    add("--observations", metavar="DIR|s3://...", help="where observation parts go (default: none)")
    add("--spool_dir", type=pathlib.Path, default=_SPOOL, help="what waits lies there")
    add("--spool_mib", type=count, default=128, help="how much may wait (default 128)")
    add("--access_log", type=_share, default=0, metavar="SHARE", help="of traces (default 0)")


def _security(parser: argparse.ArgumentParser) -> None:
    add_tokens(add_security(parser))


def _share(text: str) -> float:
    """Read a number from 0 to 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{value:g}, expected 0 to 1")
    return value


def _cores() -> int:
    return len(os.sched_getaffinity(0))
