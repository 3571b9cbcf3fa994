"""What can be said to every program on this transport: where it listens, and how protected."""

import argparse
import logging
import pathlib
import resource
import socket
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

from components.foundation.errors import UserError
from inference.transport import tls
from inference.transport.limits import Limits
from inference.transport.server import BACKLOG

_LOG = logging.getLogger("http")
MIB = 1 << 20
_FILES = 256  # that are open beside connections: libraries, the spool, a client's


@dataclass(frozen=True, slots=True)
class Listening:
    """A port and its protection; named as on the command line."""

    host: str
    http_port: int
    drain_delay_s: float
    tls_cert: pathlib.Path | None
    tls_key: pathlib.Path | None
    tls_client_ca: pathlib.Path | None
    allow_plaintext: bool

    @classmethod
    def read(cls, parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> Self:
        """Read the command line into the fields that are named as its flags."""
        said = vars(parser.parse_args(argv))
        return cls(**{field.name: said[field.name] for field in fields(cls)})

    def certificates(self) -> tls.Certificates | None:
        """Read the certificates; raises UserError where what protects was not said."""
        return tls.certificates(
            self.tls_cert,
            key=self.tls_key,
            client_ca=self.tls_client_ca,
            allow_plaintext=self.allow_plaintext,
        )

    def bind(self) -> socket.socket:
        """Listen; raises UserError where somebody does already."""
        try:
            return socket.create_server((self.host, self.http_port), backlog=BACKLOG)
        except OSError as error:
            raise UserError(
                f"{self.host}:{self.http_port}: {error.strerror}; name another port",
                code="port-taken",
            ) from error


@dataclass(frozen=True, slots=True)
class Bounded(Listening):
    """The same with what clients may take."""

    max_body_mib: int
    bodies_mib: int
    connections: int
    head_s: float
    idle_s: float

    @property
    def limits(self) -> Limits:
        return Limits(
            body_bytes=self.max_body_mib * MIB,
            bodies_bytes=max(self.bodies_mib, self.max_body_mib) * MIB,
            connections=self.connections,
            head_seconds=self.head_s,
            idle_seconds=self.idle_s,
        )

    def bind(self) -> socket.socket:
        """Listen, with as many open files as connections need."""
        _allow_files(self.connections + _FILES)
        return super(Bounded, self).bind()  # by name: slots make the class anew


def _allow_files(needed: int) -> None:
    """Raise the limit on open files as far as we may; what is beyond is closed as it comes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < needed:
        message = "the system allows %d open files, %d connections; raise ulimit -n for %d"
        _LOG.warning(message, allowed, max(0, allowed - _FILES), needed - _FILES)


def add_listening(parser: argparse.ArgumentParser) -> "argparse._ArgumentGroup":
    """Add the group of flags that say where; return it for more."""
    group = parser.add_argument_group("listening")
    add = group.add_argument
    add("--host", default="127.0.0.1", help="0.0.0.0 in a pod (default 127.0.0.1)")
    add("--http_port", type=int, default=8080, help="0 takes a free one (default 8080)")
    add("--drain_delay_s", type=float, default=0, help="answer on after SIGTERM (default 0)")
    return group


def add_bounds(parser: argparse.ArgumentParser) -> "argparse._ArgumentGroup":
    """Add the group of flags that bound clients; return it for more."""
    group = parser.add_argument_group("bounds")
    add = group.add_argument
    add("--max_body_mib", type=count, default=64, help="largest body (default 64)")
    add("--bodies_mib", type=count, default=256, help="all bodies under way (default 256)")
    add("--connections", type=count, default=10_000, help="open at once (default 10000)")
    add("--head_s", type=float, default=10, help="for a request's head to come (default 10)")
    add("--idle_s", type=float, default=75, help="between two requests (default 75)")
    return group


def add_security(parser: argparse.ArgumentParser) -> "argparse._ArgumentGroup":
    """Add the group of flags that say how connections are protected; return it for more."""
    group = parser.add_argument_group("security")
    add = group.add_argument
    add("--tls_cert", type=pathlib.Path, help="certificate chain, PEM; read again when it changes")
    add("--tls_key", type=pathlib.Path, help="its private key, PEM")
    add("--tls_client_ca", type=pathlib.Path, help="who signs clients' certificates (mTLS)")
    add("--allow_plaintext", action="store_true", help="no TLS: a mesh does it, or loopback")
    return group


def add_tokens(group: "argparse._ArgumentGroup") -> None:
    """Add the flags that say whose tokens are taken, to the group of security."""
    add = group.add_argument
    add("--oidc_issuer", metavar="URL", help="whose bearer tokens are taken")
    add("--oidc_audience", metavar="AUDIENCE", help="whom they must be meant for")
    add("--oidc_ca", type=pathlib.Path, help="who signs the issuer's certificate")
    add("--allow_anonymous", action="store_true", help="no tokens: something else checks them")


def count(text: str) -> int:
    """Read a whole number from one on."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value}, expected 1 or more")
    return value
