"""Where an issuer's keys are, and what they are: two documents, over HTTPS."""

import http.client
import ipaddress
import json
import pathlib
import ssl
import time
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from components.foundation.errors import FalajError, InfrastructureError, UserError

_PATH: Final = "/.well-known/openid-configuration"
_LARGEST: Final = 512 << 10
_CHUNK: Final = 64 << 10


@dataclass(frozen=True, slots=True)
class Issuer:
    """An OpenID provider, by the exact text that its tokens carry as `iss`.

    Attributes:
        url: https, or http where it is on this machine.
        ca: PEM file of the authorities to trust instead of the system's.
        seconds: that one document may take.
    """

    url: str
    ca: pathlib.Path | None = None
    seconds: float = 5.0

    def __post_init__(self) -> None:
        _check_address(self.url, plain=True)
        if urllib.parse.urlsplit(self.url).query:
            raise _malformed(self.url, "has a query")
        self._trust()

    def jwks(self) -> Mapping[str, Any]:
        """Fetch the key set that the issuer's own document names; blocks."""
        document = self._fetch(self.url.rstrip("/") + _PATH)
        said = document.get("issuer")
        if said != self.url:
            raise UserError(
                f"{self.url}: its discovery document is for the issuer {said!r:.200}; "
                "name the issuer exactly as that document does",
                code="issuer-differs",
            )
        address = document.get("jwks_uri")
        if not isinstance(address, str):
            raise _broken(self.url, "its discovery document names no jwks_uri")
        _check_address(address, plain=_is_plain(self.url))
        return self._fetch(address)

    def _fetch(self, address: str) -> Mapping[str, Any]:
        try:
            body = self._get(address)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _broken(
                address, f"did not answer: {str(error) or type(error).__name__}"
            ) from error
        try:
            document = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise _broken(address, "is no JSON") from error
        if not isinstance(document, dict):
            raise _broken(address, "is no JSON object")
        return document

    def _get(self, address: str) -> bytes:
        """Get a document; redirects are not followed and proxies are not asked."""
        url = urllib.parse.urlsplit(address)
        connection, until = self._connection(url), time.monotonic() + self.seconds
        try:
            target = url.path or "/"
            target += f"?{url.query}" if url.query else ""
            connection.request("GET", target, headers={"accept": "application/json"})
            response = connection.getresponse()
            if response.status != http.client.OK:
                raise _broken(address, f"answered {response.status}")
            return _read(response, address, until=until)
        finally:
            connection.close()

    def _connection(self, url: urllib.parse.SplitResult) -> http.client.HTTPConnection:
        host = url.hostname or ""
        if url.scheme == "http":
            return http.client.HTTPConnection(host, url.port, timeout=self.seconds)
        trust = self._trust()
        return http.client.HTTPSConnection(host, url.port, timeout=self.seconds, context=trust)

    def _trust(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self.ca)
        except (OSError, ssl.SSLError) as error:
            raise UserError(
                f"{self.ca}: {_why(error)}; name a PEM file of certificates", code="issuer-ca"
            ) from error


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return "holds no certificate"
    return str(error.strerror)


def _read(response: http.client.HTTPResponse, address: str, *, until: float) -> bytes:
    """Read a body, neither more nor longer than allowed."""
    body = bytearray()
    while chunk := response.read1(_CHUNK):
        body += chunk
        if len(body) > _LARGEST:
            raise _broken(address, f"is larger than {_LARGEST} bytes")
        if time.monotonic() > until:
            raise _broken(address, "came too slowly")
    return bytes(body)


def _check_address(address: str, *, plain: bool) -> None:
    try:
        url = urllib.parse.urlsplit(address)
        loopback = _is_loopback(url.hostname or "")
        url.port  # noqa: B018  # raises where it is no port
    except ValueError as error:
        raise _malformed(address, "is no address") from error
    if url.scheme != "https" and not (url.scheme == "http" and loopback and plain):
        raise _malformed(address, "is not https://")
    if not url.hostname or url.username is not None or url.fragment:
        raise _malformed(address, "needs a host, no user and no fragment")


def _is_plain(address: str) -> bool:
    return urllib.parse.urlsplit(address).scheme == "http"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _malformed(address: str, why: str) -> UserError:
    return UserError(
        f"{address[:200]!r} {why}; name the issuer as https://host[/path]", code="issuer-malformed"
    )


def _broken(address: str, why: str) -> FalajError:
    return InfrastructureError(
        f"{address[:200]} {why}; tokens are checked with the keys that are known, while they last",
        code="issuer-unreachable",
    )
