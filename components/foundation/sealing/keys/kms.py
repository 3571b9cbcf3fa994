"""AWS KMS: which key in which region, how we show who we are, what goes wrong there."""

import contextlib
import functools
import ipaddress
import logging
import pathlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import botocore.session
from botocore import exceptions
from botocore.config import Config
from botocore.loaders import Loader
from botocore.parsers import ResponseParserError

from components.foundation.errors import FalajError, InfrastructureError, Refused, UserError
from components.foundation.residency import places
from components.foundation.sealing.keys import files

_NAME = re.compile(
    r"awskms://(?P<host>(?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\])(?::\d{1,5})?)?/"
    r"(?P<key>(?:arn:aws[a-z-]*:kms:(?P<region>[a-z0-9-]+):\d{12}:)?"
    r"(?:key/[A-Za-z0-9-]{1,64}|alias/[A-Za-z0-9/_-]{1,100}|[A-Za-z0-9-]{1,64}))"
)
_TRIES, _CONNECT_S, _ANSWER_S = 3, 5, 10

_DENIED = {
    *("AccessDeniedException", "AccessDenied", "UnrecognizedClientException"),
    *("InvalidSignatureException", "IncompleteSignature", "MissingAuthenticationToken"),
    *("ExpiredTokenException", "ExpiredToken", "InvalidClientTokenId", "OptInRequired"),
    *("InvalidIdentityToken", "InvalidIdentityTokenException"),
}
_UNFIT = {
    *("NotFoundException", "DisabledException", "KMSInvalidStateException", "InvalidArnException"),
    *("InvalidKeyUsageException", "ValidationException", "UnsupportedOperationException"),
}


@dataclass(frozen=True, slots=True)
class Kms:
    """A key, and the way to it.

    Attributes:
        key: an ARN, an alias or an id.
        region: where the key lies.
        endpoint: the URL of a server that stands for the region's own; empty for that one.
        profile: which of the shared files says who we are; empty for the usual search.
        shared: the file of credentials; empty for the usual one.
    """

    key: str
    region: str
    endpoint: str
    profile: str
    shared: str

    @classmethod
    def parse(cls, name: str, environment: Mapping[str, str]) -> Self:
        """Read a name, and what its region and identity are.

        Raises:
            UserError: the name is none, or says no region.
            Refused: the site's data stay in the UAE, and the key does not lie there.
        """
        found = _NAME.fullmatch(name)
        if not found:
            raise UserError(
                f"key {name[:100]!r}: expected awskms:///arn:aws:kms:REGION:ACCOUNT:key/ID, or "
                "awskms://HOST/KEY to ask at an endpoint of your own",
                code="key-place-unknown",
            )
        region = found["region"] or _region(environment, found["key"])
        _check_place(region, found["key"], environment.get("FALAJ_RESIDENCY", ""))
        return cls(
            found["key"],
            region,
            _url(found["host"]) if found["host"] else "",
            environment.get("AWS_PROFILE", ""),
            environment.get("AWS_SHARED_CREDENTIALS_FILE", ""),
        )

    @contextlib.contextmanager
    def asked(self, what: str) -> Iterator[Any]:
        """Lend a client; what goes wrong there becomes an error of ours.

        Args:
            what: is asked of the service, in the words of the error.

        Raises:
            UserError: the service says that we may not, or that there is no such key.
            InfrastructureError: it is failing, busy or away.
        """
        with self._explained(f"{self.key}: {what}"), contextlib.closing(self._client()) as client:
            yield client

    def _client(self) -> Any:
        """Make a client that asks nobody but KMS, whatever the environment names for S3."""
        logging.getLogger("botocore").setLevel(logging.INFO)  # below, it logs what it sends
        session = botocore.session.Session(profile=self.profile or None)
        session.register_component("data_loader", _descriptions())
        session.set_config_variable("region", self.region)
        session.set_config_variable("ignore_configured_endpoint_urls", True)
        if self.shared:
            session.set_config_variable("credentials_file", self.shared)
        _check_hidden(session.get_config_variable("credentials_file"))
        # Keys in the environment are the object store's, which need not be AWS's.
        session.get_component("credential_provider").remove("env")
        return session.create_client(
            "kms", config=_config(self.endpoint), endpoint_url=self.endpoint or None
        )

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except exceptions.ClientError as error:
            raise _from_answer(what, error) from None
        except (exceptions.BotoCoreError, ResponseParserError) as error:
            raise _from_library(what, error) from None
        except (LookupError, TypeError, ValueError, AttributeError):
            raise _strange(what) from None


@functools.cache
def _descriptions() -> Loader:
    """Read once what describes the service: it takes longer than a call."""
    return Loader()


def _config(endpoint: str) -> Config:
    """Bound what a call takes: three tries of 15 s at most, and short waits between them."""
    return Config(
        connect_timeout=_CONNECT_S,
        read_timeout=_ANSWER_S,
        retries={"mode": "standard", "total_max_attempts": _TRIES},
        proxies={} if endpoint.startswith("http:") else None,  # in the clear, to nobody else
    )


def _check_hidden(name: str) -> None:
    """Refuse a file of credentials that everybody may read."""
    path = pathlib.Path(name).expanduser()
    if path.exists():
        files.read_secret(path)


def _region(environment: Mapping[str, str], key: str) -> str:
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    if not region:
        raise UserError(
            f"key {key}: no region is named; write the key as an ARN, which names its own",
            code="kms-unset",
        )
    return region


def _check_place(region: str, key: str, profile: str) -> None:
    """Keep the keys of data that stay in the UAE there, too."""
    place = places.locate("aws", region)
    if profile in places.HARD_LOCAL and (not place or place.country != places.UAE):
        raise Refused(
            f"key {key}: {place or f'{region} at aws is in no country that we know'}; residency "
            f"{profile} keeps keys in the UAE; name a key that lies there",
            code="kms-abroad",
        )


def _url(host: str) -> str:
    """Ask in the clear on this machine, and by TLS everywhere else."""
    name = host.rpartition(":")[0] or host if not host.endswith("]") else host
    return f"{'http' if _is_here(name.strip('[]')) else 'https'}://{host}"


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _from_answer(what: str, error: exceptions.ClientError) -> FalajError:
    said = error.response.get("Error", {})
    code = str(said.get("Code", ""))
    words = " ".join(f"{code} {said.get('Message', '')}".split())[:300]
    if code in _DENIED:
        return UserError(
            f"{what}: KMS says: {words}; give this identity a policy that allows it on that key, "
            "or renew its credentials",
            code="kms-denied",
        )
    if code in _UNFIT:
        return UserError(
            f"{what}: KMS says: {words}; name a key of that region that is enabled, of the spec "
            "that docs/keys.md lists",
            code="kms-key-unfit",
        )
    return InfrastructureError(
        f"{what}: KMS says: {words}; wait until it is well, then run again", code="kms-failed"
    )


def _from_library(what: str, error: Exception) -> FalajError:
    match error:
        case exceptions.NoCredentialsError() | exceptions.ProfileNotFound():
            return _nobody(what)
        case exceptions.PartialCredentialsError() | exceptions.ConfigParseError():
            return _nobody(what)
        case exceptions.SSLError():
            return UserError(
                f"{what}: the certificate of KMS is signed by nobody we trust, or for another "
                "name; name the file of its CA in AWS_CA_BUNDLE",
                code="kms-untrusted",
            )
        case ResponseParserError():
            return _strange(what)
    return InfrastructureError(
        f"{what}: KMS did not answer ({type(error).__name__}); see that it can be reached from "
        "here, then run again",
        code="kms-failed",
    )


def _nobody(what: str) -> UserError:
    return UserError(
        f"{what}: nothing says who we are; give the pod a role, or name a profile in AWS_PROFILE "
        "with its file in AWS_SHARED_CREDENTIALS_FILE. AWS_ACCESS_KEY_ID is not read: it is the "
        "object store's",
        code="kms-denied",
    )


def _strange(what: str) -> InfrastructureError:
    return InfrastructureError(
        f"{what}: what answered is not KMS; see that the endpoint is its own, and no page before "
        "it, then run again",
        code="kms-failed",
    )
