"""What the command line says, as a value."""

import argparse
import pathlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from inference.router.subject import Subjects
from inference.transport.client import Bounds
from inference.transport.options import MIB, Bounded, add_bounds, add_listening, add_security, count

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]*")


@dataclass(frozen=True, slots=True)
class Options(Bounded):
    """Everything that can be said to the router; named as on its command line."""

    config: pathlib.Path
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

    @classmethod
    def parse(cls, argv: Sequence[str] | None) -> Self:
        return cls.read(_parser(), argv)

    @property
    def bounds(self) -> Bounds:
        return Bounds(
            connections=self.upstream_connections,
            connect_seconds=self.connect_ms / 1000,
            answer_seconds=self.timeout_ms / 1000,
            body_bytes=self.max_body_mib * MIB,
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
    add_listening(parser)
    _bounds(parser)
    _security(parser)
    return parser


def _experiment(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("experiment").add_argument
    add("--config", required=True, type=pathlib.Path, help="JSON; SIGHUP reads it again")
    add("--subject_header", type=_token, default="x-user-id", help="whose (default x-user-id)")
    add("--cookie", type=_token, default="falaj-subject", help="else this one; '' for none")
    add("--cookie_days", type=count, default=365, help="that it lasts (default 365)")
    add("--cookie_secure", action="store_true", help="the cookie is sent over TLS only")
    add("--variant_header", type=_token, default="x-falaj-variant", help="names a variant")
    add("--allow_forced_variant", action="store_true", help="heed --variant_header")


def _bounds(parser: argparse.ArgumentParser) -> None:
    add = add_bounds(parser).add_argument
    add("--timeout_ms", type=count, default=10_000, help="for an upstream's answer")
    add("--connect_ms", type=count, default=2_000, help="for a connection to an upstream")
    add("--upstream_connections", type=count, default=512, help="to each (default 512)")


def _security(parser: argparse.ArgumentParser) -> None:
    add = add_security(parser).add_argument
    add("--upstream_ca", type=pathlib.Path, help="who signs https upstreams (default: system's)")


def _token(text: str) -> str:
    """Read a name that HTTP takes for a header or a cookie."""
    if not _TOKEN.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r}, expected a name without spaces")
    return text
