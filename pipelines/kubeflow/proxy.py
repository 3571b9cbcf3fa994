"""The HTTP proxy between us and KFP, as the environment names it for every program."""

import ipaddress
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import urllib3

from components.foundation.errors import UserError
from pipelines.kubeflow.identity import stays_inside

_BYPASS = "NO_PROXY"


@dataclass(frozen=True, slots=True)
class Proxy:
    """Who passes requests on, and which variable says so.

    Attributes:
        address: scheme, host and port; never a user or password.
        credentials: `user:password`, which the proxy alone is sent.
    """

    variable: str
    address: str
    credentials: str = field(default="", repr=False)

    @classmethod
    def of(cls, environment: Mapping[str, str], *, target: str) -> Self | None:
        """Return the proxy that a request to a target goes through, or None where it goes straight.

        The variables are those of curl, urllib and httpx, small letters first. This machine and
        Services of the cluster are reached without a proxy, whatever the variables say: a token may
        go there in clear, and whoever is outside cannot know their names.

        Raises:
            UserError: the variable names none that speaks HTTP.
        """
        parts = urllib.parse.urlsplit(target)
        if stays_inside(parts.hostname or "") or _bypassed(environment, parts):
            return None
        for variable in (f"{parts.scheme.upper()}_PROXY", "ALL_PROXY"):
            if said := _said(environment, variable):
                return cls._parse(variable, said)
        return None

    @classmethod
    def _parse(cls, variable: str, said: str) -> Self:
        """Read an address; one without a scheme is of plain HTTP, as everywhere."""
        whole = said if "://" in said else f"http://{said}"
        try:
            parts = urllib.parse.urlsplit(whole)
            port = "" if parts.port is None else f":{parts.port}"
        except ValueError:
            raise _malformed(variable) from None
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise _malformed(variable)
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        user, at, _ = parts.netloc.rpartition("@")
        return cls(
            variable, f"{parts.scheme}://{host}{port}", urllib.parse.unquote(user) if at else ""
        )

    def headers(self) -> dict[str, str]:
        """Return what the proxy is told, and KFP is not."""
        if not self.credentials:
            return {}
        return dict(urllib3.make_headers(proxy_basic_auth=self.credentials))

    def __str__(self) -> str:
        return f"{self.address} ({self.variable})"


def _said(environment: Mapping[str, str], variable: str) -> str:
    """Return what a variable says; its name in small letters goes first, and may be empty."""
    return environment.get(variable.lower(), environment.get(variable, "")).strip()


def _bypassed(environment: Mapping[str, str], parts: urllib.parse.SplitResult) -> bool:
    """Say whether NO_PROXY names a host: itself, a domain above it, a network, or all."""
    host = parts.hostname or ""
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    entries = [one.strip().lower().lstrip(".") for one in _said(environment, _BYPASS).split(",")]
    return any(_covers(entry, host, f"{host}:{port}") for entry in entries if entry)


def _covers(entry: str, host: str, with_port: str) -> bool:
    if entry in {"*", host, with_port} or host.endswith(f".{entry}"):
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False


def _malformed(variable: str) -> UserError:
    return UserError(
        f"{variable}: names no HTTP proxy; expected an address such as "
        f"http://proxy.example:3128, or no such variable and KFP's host in {_BYPASS}",
        code="kfp-proxy-malformed",
    )
