"""What the command line says, as a value; KServe's own words where it passes them."""

import argparse
import pathlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from components.foundation import trained_with
from components.foundation.errors import UserError
from inference.transformer.predictor import Pin
from inference.transport.client import Bounds
from inference.transport.limits import Limits
from inference.transport.options import (
    MIB,
    Listening,
    add_listening,
    add_security,
    add_tokens,
    count,
)

_CACHE = pathlib.Path(tempfile.gettempdir()) / "falaj-features"


@dataclass(frozen=True, slots=True)
class Options(Listening):
    """Everything that can be said to the transformer; named as on its command line."""

    model_name: str
    predictor_host: str
    predictor_protocol: str
    predictor_use_ssl: bool
    predictor_request_timeout_seconds: float
    predictor_ca: pathlib.Path | None
    predictor_token_file: pathlib.Path | None
    predictor_connections: int
    feature_repository: str
    feature_service: str
    feature_registry: str | None
    feature_cache: pathlib.Path
    expected_version: str | None
    unsafe_any_version: bool
    lookup_threads: int
    lookup_queue: int
    lookup_ms: int
    max_body_mib: int
    connections: int
    oidc_issuer: str | None
    oidc_audience: str | None
    oidc_ca: pathlib.Path | None
    allow_anonymous: bool

    @classmethod
    def parse(cls, argv: Sequence[str] | None) -> Self:
        return cls.read(_parser(), argv)

    @property
    def pin(self) -> Pin:
        """The version and the features to hold the predictor to.

        Raises:
            UserError: neither the versions nor the unsafe flag was said, or both were.
        """
        version, registry = self.expected_version, self.feature_registry
        if self.unsafe_any_version and version is registry is None:
            return Pin(None)
        if version is not None and registry is not None and not self.unsafe_any_version:
            return Pin(version, trained_with.said(self.feature_service, registry))
        raise UserError(
            "versions: expected --expected_version and --feature_registry, both as the release "
            "has them, or --unsafe_any_version alone",
            code="transformer-unpinned",
        )

    @property
    def address(self) -> tuple[str, int]:
        """The predictor's host and port; KServe gives a host alone."""
        host, colon, port = self.predictor_host.rpartition(":")
        if colon and port.isdigit():
            return host.strip("[]"), int(port)
        return self.predictor_host, 443 if self.predictor_use_ssl else 80

    @property
    def limits(self) -> Limits:
        return Limits(body_bytes=self.max_body_mib * MIB, connections=self.connections)

    @property
    def bounds(self) -> Bounds:
        return Bounds(
            connections=self.predictor_connections,
            answer_seconds=self.predictor_request_timeout_seconds,
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m inference.transformer",
        description="Look up an entity's features, and have the predictor infer from them.",
    )
    _predictor(parser)
    _features(parser)
    _versions(parser)
    _listening(parser)
    add_tokens(add_security(parser))
    return parser


def _predictor(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("predictor").add_argument
    add("--model_name", required=True, help="the model's name, here and there")
    add("--predictor_host", required=True, help="host or host:port")
    add("--predictor_protocol", choices=("v2",), default="v2", help="the one there is")
    add("--predictor_use_ssl", type=_truth, default=False, help="true or false (default)")
    add("--predictor_request_timeout_seconds", type=_seconds, default=10, help="(default 10)")
    add("--predictor_ca", type=pathlib.Path, help="who signs it (default: the system's)")
    add("--predictor_token_file", type=pathlib.Path, help="our token for its metadata")
    add("--predictor_connections", type=count, default=128, help="at once (default 128)")


def _features(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("features").add_argument
    add("--feature_repository", required=True, help="package, e.g. examples.flights.features")
    add("--feature_service", required=True, help="what the model was trained with")
    add("--feature_cache", type=pathlib.Path, default=_CACHE, help="a folder for Feast")
    add("--lookup_threads", type=count, default=8, help="lookups at once (default 8)")
    add("--lookup_queue", type=count, default=64, help="that wait; 429 beyond (default 64)")
    add("--lookup_ms", type=count, default=500, help="for one; 504 beyond (default 500)")


def _versions(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("versions, from the release").add_argument
    add("--expected_version", help="the model's; 503 while the predictor serves another")
    add("--feature_registry", help="the features', s3://bucket/key#sha256:...")
    add("--unsafe_any_version", action="store_true", help="mix whatever is there")


def _listening(parser: argparse.ArgumentParser) -> None:
    add = add_listening(parser).add_argument
    add("--max_body_mib", type=count, default=4, help="largest body (default 4)")
    add("--connections", type=count, default=10_000, help="open at once (default 10000)")


def _truth(text: str) -> bool:
    if text.lower() not in {"true", "false"}:
        raise argparse.ArgumentTypeError(f"{text!r}, expected true or false")
    return text.lower() == "true"


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}, expected seconds above 0")
    return value
