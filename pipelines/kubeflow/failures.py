"""What goes wrong with KFP's API, each in one sentence that says what to do."""

import json
import re
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import urllib3.exceptions as silence

from components.foundation.errors import FalajError, InfrastructureError, Refused, UserError
from components.foundation.storage import Conflict, NotFound
from pipelines.kubeflow.identity import AUTHORITIES, COOKIE, TOKEN, TOKEN_PATH, Identity

if TYPE_CHECKING:
    from kfp_server_api import ApiException

_BUSY = {429, 502, 503, 504}
_UPLOADS_SAY = re.compile(r"denied|authentication failed|authorization", re.IGNORECASE)


class Unsettled(InfrastructureError):
    """A request was sent and no answer came: it may have been done."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked of whom, as messages name it: "POST https://host/apis/..."."""

    method: str
    url: str
    identity: Identity

    def __str__(self) -> str:
        return f"{self.method} {self.url.partition('?')[0]}"


def answered(asked: Asked, error: "ApiException") -> FalajError:
    """Turn an answer that is no success into an error of ours."""
    said = _said(error.body)
    match error.status:
        case 400 if _UPLOADS_SAY.search(said):
            return _forbidden(asked, said)
        case 400 | 422:
            return UserError(f"{asked}: {said}", code="kfp-invalid")
        case 401:
            return unauthenticated(asked, "it answered 401")
        case 403:
            return _forbidden(asked, said)
        case 404:
            return NotFound(f"{asked}: {said}", code="kfp-missing")
        case 409:
            return Conflict(f"{asked}: {said}; another has that name already", code="kfp-conflict")
        case status if 300 <= status < 400:
            where = (error.headers or {}).get("location", "nowhere").partition("?")[0]
            return unauthenticated(asked, f"it sent us to {where}")
        case status if asked.method != "GET" and status in _BUSY - {429}:
            return Unsettled(
                f"{asked}: something before KFP answered {status}, and whether KFP did it cannot "
                "be known; run again",
                code="kfp-unsettled",
            )
        case status:
            return InfrastructureError(
                f"{asked}: KFP failed ({status}): {said}; run again, and if it stays, look at "
                "the log of ml-pipeline",
                code="kfp-failed",
            )


def unanswered(asked: Asked, error: silence.HTTPError) -> FalajError:
    """Turn what went wrong on the way into an error of ours."""
    cause = error.reason if isinstance(error, silence.MaxRetryError) else error
    match cause:
        case silence.SSLError():
            return _distrusted(asked, cause)
        case _ if never_sent(error):
            return InfrastructureError(
                f"{asked}: nothing answers there ({type(cause).__name__}); check that KFP runs "
                "and that the site's pipelines.api names it",
                code="kfp-unreachable",
            )
        case _ if asked.method == "GET":
            return InfrastructureError(
                f"{asked}: the answer was cut ({type(cause).__name__}); run again",
                code="kfp-unreachable",
            )
        case _:
            return Unsettled(
                f"{asked}: the connection was cut before the answer ({type(cause).__name__}), and "
                "whether KFP did it cannot be known; run again",
                code="kfp-unsettled",
            )


def unauthenticated(asked: Asked, saw: str) -> FalajError:
    """Say that we are nobody there: a 401, a redirect to a login, or its page."""
    return Refused(
        f"{asked}: {saw}, so it does not know who we are; we sent {asked.identity.told}; give a "
        f"fresh one with --token-file, {TOKEN}, {TOKEN_PATH} or {COOKIE}",
        code="kfp-unauthenticated",
    )


def unexpected(asked: Asked, content: str) -> FalajError:
    """Say that a success is not of KFP: a page of something else that listens there."""
    if "html" in content:
        return unauthenticated(asked, "it answered with a page for people, as a login does")
    return UserError(
        f"{asked}: answered {content or 'nothing'} where KFP answers JSON; check the site's "
        "pipelines.api: below it lies /apis/v2beta1",
        code="kfp-not-there",
    )


def never_sent(error: Exception) -> bool:
    """Say whether not a byte of a request has left, so that it may be sent again."""
    cause = error.reason if isinstance(error, silence.MaxRetryError) else error
    return isinstance(cause, silence.NewConnectionError | silence.ConnectTimeoutError)


def _forbidden(asked: Asked, said: str) -> FalajError:
    return Refused(
        f"{asked}: {said}; we sent {asked.identity.told}; ask for a Role on "
        "pipelines.kubeflow.org in that namespace",
        code="kfp-forbidden",
    )


def _distrusted(asked: Asked, error: Exception) -> FalajError:
    reason = error.args[0] if error.args else error
    said = reason.verify_message if isinstance(reason, ssl.SSLCertVerificationError) else reason
    return UserError(
        f"{asked}: its certificate is not believed ({said}); name its authority's PEM file with "
        f"--ca-file or {AUTHORITIES}",
        code="kfp-distrusted",
    )


def _said(body: Any) -> str:
    """Return what an answer says: a status of gRPC, an upload's own form, or a page cut short."""
    text = body.decode(errors="replace") if isinstance(body, bytes) else str(body or "")
    try:
        given = json.loads(text)
        said = next(given[name] for name in ("message", "error_message", "error") if given[name])
    except (KeyError, StopIteration, TypeError, ValueError):
        said = text
    return " ".join(str(said).split())[:300] or "without a word"
