"""An OpenBao or HashiCorp Vault server: where it is, how we show who we are, what goes wrong."""

import contextlib
import ipaddress
import logging
import pathlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Self

import hvac
import requests
from hvac import exceptions

from components.foundation.errors import FalajError, InfrastructureError, UserError
from components.foundation.sealing.keys import files

HATCH = "FALAJ_UNSAFE_VAULT_WITHOUT_TLS"
_POD_TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105 - where it lies
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\])(:\d+)?(/[\w./-]*)?"
)
_TIMEOUT_S = (5, 15)  # to connect, to answer

_NO_LOGIN = (exceptions.InvalidRequest, exceptions.InvalidPath, exceptions.Forbidden)
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ByToken:
    """We show a token that somebody else keeps fresh in a file."""

    file: pathlib.Path

    def show(self, client: hvac.Client) -> None:
        client.token = _text(self.file)


@dataclass(frozen=True, slots=True)
class ByServiceAccount:
    """A pod logs in with the token of its service account (auth method `kubernetes`)."""

    role: str
    mount: str
    file: pathlib.Path

    def show(self, client: hvac.Client) -> None:
        token = _text(self.file, read=files.read)  # every pod's is readable by all in it
        try:
            client.auth.kubernetes.login(self.role, token, mount_point=self.mount)
        except _NO_LOGIN as error:
            raise UserError(
                f"log in as role {self.role} at auth/{self.mount}: {said_by(error)}; name a role "
                "in VAULT_ROLE that is bound to this service account, and its mount in VAULT_PATH",
                code="vault-denied",
            ) from None


@dataclass(frozen=True, slots=True)
class Vault:
    """One server.

    Attributes:
        address: its URL.
        transit: where the transit engine is mounted.
        namespace: within which we ask; empty for the root.
        authority: the file of certificates that sign the server's; empty for the usual ones.
        identity: how we show who we are. No token is kept: each call reads or gets one.
    """

    address: str
    transit: str
    namespace: str
    authority: str
    identity: ByToken | ByServiceAccount

    @classmethod
    def parse(cls, environment: Mapping[str, str]) -> Self:
        """Read the variables that Vault's and sigstore's tools read; raises UserError."""
        return cls(
            _address(environment),
            environment.get("TRANSIT_SECRET_ENGINE_PATH", "transit").strip("/"),
            environment.get("VAULT_NAMESPACE", ""),
            _authority(environment),
            _identity(environment),
        )

    @contextlib.contextmanager
    def asked(self, what: str) -> Iterator[hvac.Client]:
        """Lend a client that is logged in; what goes wrong there becomes an error of ours.

        Args:
            what: is asked of the server, in the words of the error.

        Raises:
            UserError: the server says that we may not, or that there is no such thing.
            InfrastructureError: it is sealed, failing or away.
        """
        with requests.Session() as session, self._explained(what):
            session.trust_env = False  # no .netrc, no proxy, no other CA than named
            session.verify = self.authority or True
            client = hvac.Client(
                self.address,
                token="",  # else hvac looks for one itself
                verify=session.verify,
                timeout=_TIMEOUT_S,
                allow_redirects=False,  # a token goes to no other address
                session=session,
                namespace=self.namespace or None,
            )
            self.identity.show(client)
            yield client

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Leave the causes behind: they hold requests, and those hold tokens."""
        try:
            yield
        except exceptions.VaultError as error:
            raise self._from_status(what, error) from None
        except requests.RequestException as error:
            raise self._from_connection(what, error) from None
        except (LookupError, TypeError, ValueError, AttributeError):
            raise InfrastructureError(
                f"{what}: {self.address} gave an answer that is none of this API; check that "
                "VAULT_ADDR names the active server itself, and no page or redirect before it",
                code="vault-failed",
            ) from None

    def _from_status(self, what: str, error: exceptions.VaultError) -> FalajError:
        said = f"{what}: {self.address} says: {said_by(error)}"
        match error:
            case exceptions.Forbidden() | exceptions.Unauthorized():
                return UserError(
                    f"{said}; give the identity a policy with update on that path, or a token "
                    "that has not expired",
                    code="vault-denied",
                )
            case exceptions.InvalidRequest() | exceptions.InvalidPath():
                return UserError(
                    f"{said}; name a key of that server, of the type that docs/keys.md lists, "
                    "and its mount in TRANSIT_SECRET_ENGINE_PATH",
                    code="vault-key-unfit",
                )
            case _:
                return InfrastructureError(
                    f"{said}; unseal the server or wait until it is well, then run again",
                    code="vault-failed",
                )

    def _from_connection(self, what: str, error: requests.RequestException) -> FalajError:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return UserError(
                f"{what}: the certificate of {self.address} is signed by nobody we trust, or for "
                "another name; name the file of its CA in VAULT_CACERT",
                code="vault-untrusted",
            )
        return InfrastructureError(
            f"{what}: {self.address} did not answer ({type(error).__name__}); check that it runs "
            "and that VAULT_ADDR names it, then run again",
            code="vault-failed",
        )


def said_by(error: exceptions.VaultError) -> str:
    """Return what a server gave as the reason, on one short line."""
    return " ".join(str(error.args[0] or "nothing").split())[:200]


def _address(environment: Mapping[str, str]) -> str:
    address = environment.get("VAULT_ADDR", "").rstrip("/")
    found = _URL.fullmatch(address)
    if not found:
        raise UserError(
            "VAULT_ADDR is not set, or is no URL; expected https://HOST:PORT, without a user or a "
            "query",
            code="vault-unset",
        )
    if found["scheme"] == "http" and not _is_here(found["host"].strip("[]")):
        _refuse_or_warn(address, hatch=environment.get(HATCH, ""))
    return address


def _authority(environment: Mapping[str, str]) -> str:
    file = environment.get("VAULT_CACERT", "")
    if file and not pathlib.Path(file).is_file():
        raise UserError(
            f"VAULT_CACERT names {file}, where no file lies; expected certificates in PEM",
            code="vault-unset",
        )
    return file


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _refuse_or_warn(address: str, *, hatch: str) -> None:
    if hatch != "1":
        raise UserError(
            f"VAULT_ADDR is {address}: tokens and keys would cross the network in the clear; "
            f"expected https (http only on this machine); where that is meant, set {HATCH}=1",
            code="vault-unset",
        )
    _logger.warning("%s: tokens and keys cross the network in the clear: %s=1", address, HATCH)


def _identity(environment: Mapping[str, str]) -> ByToken | ByServiceAccount:
    role = environment.get("VAULT_ROLE")
    if role:
        mount = environment.get("VAULT_PATH", "kubernetes").strip("/")
        file = environment.get("VAULT_JWT_FILE", _POD_TOKEN)
        return ByServiceAccount(role, mount, pathlib.Path(file))
    home = environment.get("HOME", "/")
    return ByToken(pathlib.Path(environment.get("VAULT_TOKEN_FILE", f"{home}/.vault-token")))


def _text(file: pathlib.Path, *, read: Callable[[pathlib.Path], bytes] = files.read_secret) -> str:
    """Read a token; raises UserError without one."""
    if not file.exists():
        raise UserError(
            f"{file}: there is no token for Vault; let an agent write one there, name its file in "
            "VAULT_TOKEN_FILE, or name a role in VAULT_ROLE to log in as a pod. VAULT_TOKEN is "
            "not read: an environment shows in too many places",
            code="vault-unset",
        )
    token = read(file).decode(errors="replace").strip()
    if not token.isascii() or not token.isprintable() or not token:
        raise UserError(f"{file}: holds no token of Vault; write one there", code="vault-unset")
    return token
