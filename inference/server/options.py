"""What the command line says, as a value."""

import argparse
import os
import pathlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

from inference.server import batching
from inference.transport.limits import Limits

_MIB = 1 << 20
_SPOOL = pathlib.Path(tempfile.gettempdir()) / "falaj-spool"


@dataclass(frozen=True, slots=True)
class Options:
    """Everything that can be said to the server; named as on its command line."""

    model_name: str
    model_dir: pathlib.Path
    variant: str
    host: str
    http_port: int
    grpc_port: int | None
    workers: int
    threads: int
    concurrency: int
    queue: int
    batch_rows: int
    timeout_ms: int
    drain_delay_s: float
    max_body_mib: int
    bodies_mib: int
    connections: int
    head_s: float
    idle_s: float
    observations: str | None
    spool_dir: pathlib.Path
    spool_mib: int
    access_log: float
    tls_cert: pathlib.Path | None
    tls_key: pathlib.Path | None
    tls_client_ca: pathlib.Path | None
    allow_plaintext: bool
    oidc_issuer: str | None
    oidc_audience: str | None
    oidc_ca: pathlib.Path | None
    allow_anonymous: bool

    @classmethod
    def parse(cls, argv: Sequence[str] | None) -> Self:
        said = vars(_parser().parse_args(argv))
        return cls(**{field.name: said[field.name] for field in fields(cls)})

    @property
    def timeout(self) -> float:
        """Seconds that a request may take, unless it says less."""
        return self.timeout_ms / 1000

    @property
    def limits(self) -> Limits:
        return Limits(
            body_bytes=self.max_body_mib * _MIB,
            bodies_bytes=max(self.bodies_mib, self.max_body_mib) * _MIB,
            connections=self.connections,
            head_seconds=self.head_s,
            idle_seconds=self.idle_s,
        )

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
    _listening(parser)
    _work(parser)
    _bounds(parser)
    _telling(parser)
    _security(parser)
    return parser


def _model(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("model").add_argument
    add("--model_name", required=True, help="what requests call the model")
    add("--model_dir", required=True, type=pathlib.Path, help="the model and its signature.json")
    add("--variant", default="a", help="label of metrics and observations (default a)")


def _listening(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("listening").add_argument
    add("--host", default="127.0.0.1", help="0.0.0.0 in a pod (default 127.0.0.1)")
    add("--http_port", type=int, default=8080, help="0 takes a free one (default 8080)")
    add("--grpc_port", type=int, help="0 takes a free one (default: no gRPC)")


def _work(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("work").add_argument
    add("--workers", type=_count, default=1, help="processes on one port (default 1)")
    add("--threads", type=_count, default=1, help="threads of one prediction (default 1)")
    add("--concurrency", type=_count, default=_cores(), help="predictions at once (default: cores)")
    add("--queue", type=_count, default=1024, help="requests that may wait (default 1024)")
    add("--batch_rows", type=_count, default=256, help="rows predicted together (default 256)")
    add("--timeout_ms", type=_count, default=10_000, help="for one request (default 10000)")
    add("--drain_delay_s", type=float, default=0, help="answer on after SIGTERM (default 0)")


def _bounds(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("bounds").add_argument
    add("--max_body_mib", type=_count, default=64, help="largest request body (default 64)")
    add("--bodies_mib", type=_count, default=256, help="all bodies under way (default 256)")
    add("--connections", type=_count, default=10_000, help="open at once (default 10000)")
    add("--head_s", type=float, default=10, help="for a request's head to come (default 10)")
    add("--idle_s", type=float, default=75, help="between two requests (default 75)")


def _telling(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("telling").add_argument
    add("--observations", metavar="DIR|s3://...", help="where observation parts go (default: none)")
    add("--spool_dir", type=pathlib.Path, default=_SPOOL, help="what waits lies there")
    add("--spool_mib", type=_count, default=128, help="how much may wait (default 128)")
    add("--access_log", type=float, default=0, metavar="SHARE", help="of requests (default 0)")


def _security(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("security").add_argument
    add("--tls_cert", type=pathlib.Path, help="certificate chain, PEM; read again when it changes")
    add("--tls_key", type=pathlib.Path, help="its private key, PEM")
    add("--tls_client_ca", type=pathlib.Path, help="who signs clients' certificates (mTLS)")
    add("--allow_plaintext", action="store_true", help="no TLS: a mesh does it, or loopback")
    add("--oidc_issuer", metavar="URL", help="whose bearer tokens are taken")
    add("--oidc_audience", metavar="AUDIENCE", help="whom they must be meant for")
    add("--oidc_ca", type=pathlib.Path, help="who signs the issuer's certificate")
    add("--allow_anonymous", action="store_true", help="no tokens: something else checks them")


def _count(text: str) -> int:
    """Read a whole number from one on."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value}, expected 1 or more")
    return value


def _cores() -> int:
    return len(os.sched_getaffinity(0))
