"""What the command line says, as a value."""

import argparse
import pathlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

from inference.router.subject import Subjects
from inference.transport.client import Bounds
from inference.transport.limits import Limits

_MIB = 1 << 20
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]*")


@dataclass(frozen=True, slots=True)
class Options:
    """Everything that can be said to the router; named as on its command line."""

    config: pathlib.Path
    host: str
    http_port: int
    drain_delay_s: float
    subject_header: str
    cookie: str
    cookie_days: int
    cookie_secure: bool
    variant_header: str
    allow_forced_variant: bool
    timeout_ms: int
    connect_ms: int
    upstream_connections: int
    upstream_ca: pathlib.Path | None
    max_body_mib: int
    bodies_mib: int
    connections: int
    head_s: float
    idle_s: float
    tls_cert: pathlib.Path | None
    tls_key: pathlib.Path | None
    tls_client_ca: pathlib.Path | None
    allow_plaintext: bool

    @classmethod
    def parse(cls, argv: Sequence[str] | None) -> Self:
        said = vars(_parser().parse_args(argv))
        return cls(**{field.name: said[field.name] for field in fields(cls)})

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
    def bounds(self) -> Bounds:
        return Bounds(
            connections=self.upstream_connections,
            connect_seconds=self.connect_ms / 1000,
            answer_seconds=self.timeout_ms / 1000,
            body_bytes=self.max_body_mib * _MIB,
        )

    @property
    def subjects(self) -> Subjects:
        header, cookie = self.subject_header.lower().encode(), self.cookie.encode()
        return Subjects(header, cookie, secure=self.cookie_secure, days=self.cookie_days)

    @property
    def forced_by(self) -> bytes:
        """The header that names a variant; empty where nobody may."""
        return self.variant_header.lower().encode() if self.allow_forced_variant else b""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m inference.router",
        description="Split a model's requests among variants, sticky for a subject.",
        epilog="example: python -m inference.router --config router.json --http_port 8080 "
        "--allow_plaintext",
    )
    _experiment(parser)
    _listening(parser)
    _bounds(parser)
    _security(parser)
    return parser


def _experiment(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("experiment").add_argument
    add("--config", required=True, type=pathlib.Path, help="JSON; SIGHUP reads it again")
    add("--subject_header", type=_token, default="x-user-id", help="whose (default x-user-id)")
    add("--cookie", type=_token, default="falaj-subject", help="else this one; '' for none")
    add("--cookie_days", type=_count, default=365, help="that it lasts (default 365)")
    add("--cookie_secure", action="store_true", help="the cookie is sent over TLS only")
    add("--variant_header", type=_token, default="x-falaj-variant", help="names a variant")
    add("--allow_forced_variant", action="store_true", help="heed --variant_header")


def _listening(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("listening").add_argument
    add("--host", default="127.0.0.1", help="0.0.0.0 in a pod (default 127.0.0.1)")
    add("--http_port", type=int, default=8080, help="0 takes a free one (default 8080)")
    add("--drain_delay_s", type=float, default=0, help="answer on after SIGTERM (default 0)")


def _bounds(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("bounds").add_argument
    add("--timeout_ms", type=_count, default=10_000, help="for an upstream's answer")
    add("--connect_ms", type=_count, default=2_000, help="for a connection to an upstream")
    add("--upstream_connections", type=_count, default=512, help="to each (default 512)")
    add("--max_body_mib", type=_count, default=64, help="largest body (default 64)")
    add("--bodies_mib", type=_count, default=256, help="all bodies under way (default 256)")
    add("--connections", type=_count, default=10_000, help="open at once (default 10000)")
    add("--head_s", type=float, default=10, help="for a request's head to come (default 10)")
    add("--idle_s", type=float, default=75, help="between two requests (default 75)")


def _security(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("security").add_argument
    add("--tls_cert", type=pathlib.Path, help="certificate chain, PEM; read again when it changes")
    add("--tls_key", type=pathlib.Path, help="its private key, PEM")
    add("--tls_client_ca", type=pathlib.Path, help="who signs clients' certificates (mTLS)")
    add("--allow_plaintext", action="store_true", help="no TLS: a mesh does it, or loopback")
    add("--upstream_ca", type=pathlib.Path, help="who signs https upstreams (default: system's)")


def _token(text: str) -> str:
    """Read a name that HTTP takes for a header or a cookie."""
    if not _TOKEN.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r}, expected a name without spaces")
    return text


def _count(text: str) -> int:
    """Read a whole number from one on."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value}, expected 1 or more")
    return value
