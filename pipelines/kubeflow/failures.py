"""What goes wrong with KFP's API, each in one sentence that says what to do."""

import json
import re
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import urllib3.exceptions as silence
from urllib3.util.ssl_match_hostname import CertificateError

from components.foundation.errors import FalajError, InfrastructureError, Refused, UserError
from components.foundation.storage import Conflict, NotFound
from pipelines.kubeflow.identity import AUTHORITIES, COOKIE, TOKEN, TOKEN_PATH, Identity
from pipelines.kubeflow.proxy import Proxy

if TYPE_CHECKING:
    from kfp_server_api import ApiException

REJECTED, BUSY = 429, frozenset({502, 503, 504})
_UPLOADS = ("/pipelines/upload", "/pipelines/upload_version")  # which say 400 for 401 and 403
_UPLOADS_SAY = re.compile(r"denied|authentication failed|authorization", re.IGNORECASE)
_TELLING = ("message", "error_message", "error")
_TUNNEL = re.compile(r"Tunnel connection failed: (4\d\d[^'\")]*)")


class Unsettled(InfrastructureError):
    """A request was sent and no answer came: it may have been done."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked of whom, as messages name it: "POST https://host/apis/..."."""

    method: str
    url: str
    identity: Identity
    proxy: Proxy | None = None

    @property
    def path(self) -> str:
        return self.url.partition("?")[0]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def answered(asked: Asked, error: "ApiException") -> FalajError:
    """Turn an answer that is no success into an error of ours."""
    said = _said(error.body)
    match error.status:
        case 400 if asked.path.endswith(_UPLOADS) and _UPLOADS_SAY.search(said):
            return _forbidden(asked, said)
        case 401:
            return unauthenticated(asked, "it answered 401")
        case 403:
            return _forbidden(asked, said)
        case 404 if not _is_json(error):
            return _not_there(asked, f"404 and {_content(error)}")
        case 404:
            return NotFound(f"{asked}: {said}", code="kfp-missing")
        case 405 | 501:
            return UserError(
                f"{asked}: this KFP does not know how ({said}); update it, or do without what "
                "asks for it",
                code="kfp-unsupported",
            )
        case 407:
            return _not_passed(asked, said)
        case 409:
            return Conflict(f"{asked}: {said}; another has that name already", code="kfp-conflict")
        case status if 300 <= status < 400:
            where = (error.headers or {}).get("location", "nowhere").partition("?")[0]
            return unauthenticated(asked, f"it sent us to {where}")
        case status if 400 <= status < 500 and status not in {408, 425, REJECTED}:
            return UserError(f"{asked}: {said} ({status})", code="kfp-invalid")
        case status if asked.method != "GET" and status in BUSY:
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
    match cause := _cause(error):
        case silence.SSLError() if distrusts(error):
            return _distrusted(asked, cause)
        case silence.ProxyError() if found := _TUNNEL.search(str(cause)):
            return _not_passed(asked, found[1])
        case silence.ProxyError():
            return InfrastructureError(
                f"{asked}: the proxy {asked.proxy} passes nothing on ({cause.original_error}); "
                "check that it runs, or name KFP's host in NO_PROXY",
                code="kfp-unreachable",
            )
        case _ if never_sent(error):
            return InfrastructureError(
                f"{asked}: nothing answers there ({type(cause).__name__}); check that KFP runs "
                "and that the site's pipelines.api names it",
                code="kfp-unreachable",
            )
        case silence.SSLError() if asked.method == "GET":
            return InfrastructureError(
                f"{asked}: TLS failed ({cause}); run again, and if it stays, check that the site's "
                "pipelines.api is an address that speaks it",
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
    return _not_there(asked, content or "nothing")


def unreadable(asked: str, why: Exception | str) -> FalajError:
    """Say that an answer is JSON and yet not what KFP's contract has there."""
    return UserError(
        f"{asked}: answered JSON that is not KFP's ({why}); check the site's pipelines.api: below "
        "it lies /apis/v2beta1 of KFP 2",
        code="kfp-not-there",
    )


def never_sent(error: Exception) -> bool:
    """Say whether not a byte of a request has left, so that it may be sent again.

    urllib3 tells of a proxy's failure only before a connection through it stands.
    """
    before = silence.NewConnectionError | silence.ConnectTimeoutError | silence.ProxyError
    return isinstance(_cause(error), before)


def in_vain(error: Exception) -> bool:
    """Say whether the same again would fail the same: a certificate, or a proxy's no."""
    return distrusts(error) or bool(_TUNNEL.search(str(_cause(error))))


def distrusts(error: Exception) -> bool:
    """Say whether a certificate is not believed, of all that can go wrong with TLS."""
    cause = _cause(error)
    reason = cause.args[0] if isinstance(cause, silence.SSLError) and cause.args else None
    return isinstance(reason, ssl.SSLCertVerificationError | CertificateError)


def _cause(error: Exception) -> Exception | None:
    """Return what went wrong at the last try."""
    return error.reason if isinstance(error, silence.MaxRetryError) else error


def _forbidden(asked: Asked, said: str) -> FalajError:
    return Refused(
        f"{asked}: {said}; we sent {asked.identity.told}; ask for a Role on "
        "pipelines.kubeflow.org in that namespace",
        code="kfp-forbidden",
    )


def _not_there(asked: Asked, answer: str) -> FalajError:
    return UserError(
        f"{asked}: answered {answer} where KFP answers JSON; check the site's pipelines.api: below "
        "it lies /apis/v2beta1",
        code="kfp-not-there",
    )


def _not_passed(asked: Asked, said: str) -> FalajError:
    return Refused(
        f"{asked}: the proxy {asked.proxy} does not pass it on ({said.strip()}); ask who runs the "
        "proxy, give it user:password@ in that variable, or name KFP's host in NO_PROXY",
        code="kfp-proxy-refused",
    )


def _is_json(error: "ApiException") -> bool:
    return "json" in _content(error)


def _content(error: "ApiException") -> str:
    return str((error.headers or {}).get("content-type", "nothing"))


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
    except ValueError:
        given = None
    told = [given.get(name) for name in _TELLING] if isinstance(given, dict) else []
    said = next(filter(None, told), text)
    return " ".join(str(said).split())[:300] or "without a word"
