"""Who we are to KFP's API: what we send, and whose certificates we believe.

A token or cookie is never printed; messages name where it came from.
"""

import ipaddress
import pathlib
import ssl
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from components.foundation.errors import Refused, UserError

TOKEN, COOKIE = "KF_PIPELINES_TOKEN", "KF_PIPELINES_COOKIE"
TOKEN_PATH = "KF_PIPELINES_SA_TOKEN_PATH"  # noqa: S105 - kfp's name of a variable, not a token
AUTHORITIES = "SSL_CERT_FILE"
PROJECTED = pathlib.Path("/var/run/secrets/kubeflow/pipelines/token")


@dataclass(frozen=True, slots=True)
class Identity:
    """A token, a cookie, both, or neither; and the certificates of authorities.

    Attributes:
        token_file: read before every request, for whoever projects a token also renews it.
        authorities: a PEM file; without it, those that Mozilla trusts.
        unsafe_skip_tls_verification: believe any certificate.
    """

    token: str = field(default="", repr=False)
    token_file: pathlib.Path | None = None
    cookie: str = field(default="", repr=False)
    authorities: pathlib.Path | None = None
    unsafe_skip_tls_verification: bool = False

    @classmethod
    def of(
        cls,
        environment: Mapping[str, str],
        *,
        token_file: pathlib.Path | None = None,
        authorities: pathlib.Path | None = None,
        unsafe_skip_tls_verification: bool = False,
    ) -> Self:
        """Take what a command line names, else what the environment does, else a pod's token."""
        token = "" if token_file else environment.get(TOKEN, "")
        named = environment.get(TOKEN_PATH)
        if token_file is None and not token:
            projected = PROJECTED if PROJECTED.exists() else None
            token_file = pathlib.Path(named) if named else projected
        trusted = environment.get(AUTHORITIES)
        return cls(
            token=token,
            token_file=token_file,
            cookie=environment.get(COOKIE, ""),
            authorities=authorities or (pathlib.Path(trusted) if trusted else None),
            unsafe_skip_tls_verification=unsafe_skip_tls_verification,
        )

    @property
    def told(self) -> str:
        """Say what is sent, without it."""
        sent = [f"the token in {self.token_file}"] if self.token_file else []
        sent += [f"the token in {TOKEN}"] if self.token else []
        sent += [f"the cookie in {COOKIE}"] if self.cookie else []
        return " and ".join(sent) or "neither a token nor a cookie"

    def headers(self) -> dict[str, str]:
        """Return what goes with every request.

        Raises:
            UserError: a token or cookie is not there, is empty, or cannot stand in a header.
        """
        token = _read(self.token_file) if self.token_file else self.token
        headers = {"Authorization": f"Bearer {_checked(token, self.told)}"} if token else {}
        return headers | ({"Cookie": _checked(self.cookie, COOKIE)} if self.cookie else {})

    def hold(self, address: str) -> None:
        """Refuse to send a secret where anybody on the way could read it."""
        parts = urllib.parse.urlsplit(address)
        secret = self.token or self.token_file or self.cookie
        if secret and parts.scheme == "http" and not stays_inside(parts.hostname or ""):
            raise Refused(
                f"{address}: {self.told} would travel in clear; name an https address",
                code="kfp-token-in-clear",
            )
        if self.authorities:
            _hold_authorities(self.authorities)


def _read(path: pathlib.Path) -> str:
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"token {path}: {type(error).__name__}; name the file that holds it with --token-file "
            f"or {TOKEN_PATH}",
            code="kfp-token-malformed",
        ) from None
    if not token:
        raise UserError(f"token {path}: is empty; ask for a new one", code="kfp-token-malformed")
    return token


def _checked(secret: str, where: str) -> str:
    if not (secret.isascii() and secret.isprintable()):
        raise UserError(
            f"{where}: has characters that no header may have; give it alone, on one line",
            code="kfp-token-malformed",
        )
    return secret


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def stays_inside(host: str) -> bool:
    """Say whether a host is this machine or a Service of the cluster we are in."""
    return is_loopback(host) or host.endswith((".svc", ".svc.cluster.local"))


def _hold_authorities(path: pathlib.Path) -> None:
    try:
        ssl.create_default_context(cafile=str(path))
    except (OSError, ssl.SSLError) as error:
        raise UserError(
            f"authorities {path}: {type(error).__name__}; name a PEM file of certificates with "
            f"--ca-file or {AUTHORITIES}",
            code="kfp-authorities-malformed",
        ) from None
