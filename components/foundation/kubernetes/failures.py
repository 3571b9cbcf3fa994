"""What the Kubernetes API says when it does not do it, as our errors, with what to do."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from components.foundation.errors import FalajError, InfrastructureError, Refused, UserError
from components.foundation.storage import Conflict, NotFound

Status = Mapping[str, Any]  # meta/v1 Status, what an API server says of a failure


class Answered(Exception):
    """An API server's answer that says no."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(status)
        self.status = status
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body = body


@dataclass(frozen=True, slots=True)
class Owner:
    """Who owns a field that an apply wanted to change."""

    manager: str
    field: str

    @classmethod
    def of(cls, cause: Mapping[str, str]) -> "Owner":
        """Read a cause: `conflict with "MANAGER" with subresource "S" using VERSION`."""
        return cls(cause["message"].partition('"')[2].partition('"')[0], cause["field"])

    def __str__(self) -> str:
        return f"{self.manager} owns {self.field}"


class Owned(Conflict):
    """An apply would take fields from another manager.

    Attributes:
        owners: each field, and who owns it.
    """

    def __init__(self, message: str, *, owners: tuple[Owner, ...]) -> None:
        super().__init__(message, code="kubernetes-conflict")
        self.owners = owners


class Gone(InfrastructureError):
    """The API server has forgotten the version from which changes were asked for."""


@contextlib.contextmanager
def translated(what: str, needs: str) -> Iterator[None]:
    """Turn what is raised by a call into our errors.

    Args:
        what: what was asked, for the message.
        needs: the right that it takes.
    """
    import urllib3.exceptions

    try:
        yield
    except Answered as error:
        raise _from_answer(what, needs, error) from error
    except urllib3.exceptions.SSLError as error:
        raise (_distrusted if distrusts(error) else _unreachable)(what, f"TLS: {error}") from error
    except urllib3.exceptions.HTTPError as error:
        raise _unreachable(what, type(error).__name__) from error


def distrusts(error: Exception) -> bool:
    """Say whether a certificate is not believed, of all that can go wrong with TLS."""
    return "CERTIFICATE_VERIFY_FAILED" in str(error)


def _distrusted(what: str, why: str) -> UserError:
    return UserError(
        f"{what}: the Kubernetes API's certificate is not believed ({why}); put its authority, and "
        "a server name that the certificate holds, into KUBECONFIG",
        code="kubernetes-untrusted",
    )


def _unreachable(what: str, why: str) -> InfrastructureError:
    return InfrastructureError(
        f"{what}: the Kubernetes API did not answer ({why}); "
        "check that it runs and that KUBECONFIG names it, then run again",
        code="kubernetes-unreachable",
    )


def from_status(what: str, needs: str, code: int | None, status: Status) -> FalajError:
    """Return the error that a status of the API server means."""
    message = str(status.get("message", ""))
    match code:
        case 404:
            return NotFound(
                f"{what}: {message}; make it, or correct the name", code="kubernetes-missing"
            )
        case 409:
            return _conflict(what, message, status)
        case 410:
            return Gone(
                f"{what}: {message}; list again, and watch from there", code="kubernetes-forgotten"
            )
        case 401:
            return Refused(
                f"{what}: {message}; the API server does not know who asks: sign in anew, or put "
                "a token or certificate that is still valid into KUBECONFIG",
                code="kubernetes-unauthenticated",
            )
        case 403 if _by_a_rule(message):
            return Refused(
                f"{what}: {message}; a rule of the cluster forbids it to everybody: change what is "
                "asked for, or ask who administers the rule",
                code="kubernetes-denied",
            )
        case 403:
            return Refused(
                f"{what}: {message}; the identity needs a Role with {needs}",
                code="kubernetes-forbidden",
            )
        case 400 | 413 | 422:
            return UserError(
                f"{what}: {message}; correct what the message names", code="kubernetes-invalid"
            )
        case _:
            return InfrastructureError(
                f"{what}: the Kubernetes API failed ({code}): {message}; run again later",
                code="kubernetes-failed",
            )


def _by_a_rule(message: str) -> bool:
    """Say whether not the identity was refused, but what it asks for: by admission or a quota.

    Webhooks such as KServe's say 403, too.
    """
    denied = "denied the request" in message or "denied request" in message
    return denied or (" is forbidden: " in message and 'User "' not in message)


def document(what: str, body: bytes) -> dict[str, Any]:
    """Read what answered a call; raises InfrastructureError when it is no object.

    What it is instead, such as the page of a proxy, is not told: it may be half a Secret.
    """
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if isinstance(found, dict):
        return found
    raise InfrastructureError(
        f"{what}: the Kubernetes API gave an answer that is no object, {len(body)} bytes; check "
        "that KUBECONFIG names the API itself and no page before it, then run again",
        code="kubernetes-failed",
    )


def _conflict(what: str, message: str, status: Status) -> Conflict:
    """Name who owns which field, where that is why; else somebody has written meanwhile."""
    causes = (status.get("details") or {}).get("causes") or []
    owners = tuple(Owner.of(one) for one in causes if one.get("reason") == "FieldManagerConflict")
    if owners:
        return Owned(
            f"{what}: {'; '.join(map(str, owners))}; have that manager give it up, or settle "
            "who sets it",
            owners=owners,
        )
    return Conflict(f"{what}: {message}; read it again, then decide", code="kubernetes-conflict")


def _from_answer(what: str, needs: str, error: Answered) -> FalajError:
    try:
        status = json.loads(error.body)
        status["message"]
    except (KeyError, TypeError, ValueError):
        status = {"message": _shortened(error.body) or "no reason was given"}
    return from_status(what, needs, error.status, status)


def _shortened(body: bytes) -> str:
    return " ".join(body.decode(errors="replace").split())[:300]
