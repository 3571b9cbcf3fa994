"""Ask an HTTP service for JSON; wait when it asks us to, within a budget."""

import datetime
import email.utils
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from components.foundation.errors import InfrastructureError, UserError
from components.ingestion.ingest_rest.pagination import Page, Request

if TYPE_CHECKING:
    import httpx
    import tenacity

_BUSY = {429, 500, 502, 503, 504}


class _Again(Exception):
    """The service may answer later; `wait` is what it asked for in seconds, if it did."""

    def __init__(self, said: str, wait: float | None = None) -> None:
        super().__init__(said)
        self.wait = wait


@dataclass
class Budget:
    """How long a run may wait for the service, over all its requests.

    Attributes:
        seconds: what is left.
        pause: how to wait; tests count instead.
    """

    seconds: float
    pause: Callable[[float], None] = time.sleep

    def spend(self, seconds: float) -> None:
        self.seconds -= seconds
        self.pause(seconds)


@dataclass
class Client:
    """One service, for one run."""

    http: "httpx.Client"
    budget: Budget
    items: str = "items"
    requests: int = field(default=0, init=False)

    @classmethod
    def open(cls, *, token: str, budget: Budget, items: str) -> Self:
        import httpx

        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return cls(httpx.Client(headers=headers, timeout=httpx.Timeout(10, read=30)), budget, items)

    def get(self, request: Request) -> Page:
        """Fetch a page.

        Raises:
            UserError: the service refuses us, or answers with something else than our rows.
            InfrastructureError: it kept being busy or silent until the budget was spent.
        """
        import tenacity

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_Again),
            wait=_wait,
            stop=lambda state: _wait(state) > self.budget.seconds,
            sleep=self.budget.spend,
            reraise=True,
        )
        try:
            return retrying(self._once, request)
        except _Again as last:
            asked = "" if last.wait is None else f" and asks to wait {last.wait:g} s"
            raise InfrastructureError(
                f"{request}: {last}{asked}; {self.budget.seconds:.1f} s of the waiting budget "
                "are left; run again later, or raise budget_seconds",
                code="rest-unavailable",
            ) from last

    def _once(self, request: Request) -> Page:
        import httpx

        self.requests += 1
        try:
            answer = self.http.get(request.url, params=dict(request.query) or None)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise UserError(
                f"{request}: {error}; expected http(s)://host/path", code="rest-address"
            ) from error
        except httpx.TransportError as error:
            raise _Again(f"no answer ({type(error).__name__}: {error})") from error
        if answer.status_code in _BUSY:
            raise _Again(f"answers {answer.status_code}", _retry_after(answer))
        _refuse(request, answer)
        body = _json(request, answer)
        link = answer.links.get("next", {}).get("url", "")
        rows = _rows(request, body, self.items)
        return Page(request, body, rows, link, len(answer.content))


def _wait(state: "tenacity.RetryCallState") -> float:
    """Wait as long as the service asks; if it does not say, twice as long each time."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.wait if isinstance(error, _Again) else None
    return float(min(0.1 * 2**state.attempt_number, 10) if asked is None else asked)


def _retry_after(answer: "httpx.Response") -> float | None:
    """Read Retry-After: seconds or an HTTP date; None when absent or unreadable."""
    text = answer.headers.get("Retry-After", "")
    try:
        return max(float(text), 0)
    except ValueError:
        pass
    try:
        until = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return max((until - datetime.datetime.now(until.tzinfo)).total_seconds(), 0)


def _refuse(request: Request, answer: "httpx.Response") -> None:
    status = answer.status_code
    if status in {401, 403}:
        raise UserError(
            f"{request}: refused our credentials ({status}); check the secret that token_env names",
            code="rest-denied",
        )
    if status != 200:
        raise UserError(
            f"{request}: answers {status} ({_kind(answer)}), expected 200; check the address "
            "and its parameters",
            code="rest-refused",
        )


def _json(request: Request, answer: "httpx.Response") -> Any:
    try:
        return answer.json()
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(
            f"{request}: answers {_kind(answer)}, expected JSON; is this the right address?",
            code="rest-body",
        ) from error


def _rows(request: Request, body: Any, items: str) -> list[dict[str, Any]]:
    """Find the list of rows: the whole body, or a dotted path of fields in it."""
    found = body
    for name in filter(None, items.split(".")):
        found = found.get(name) if isinstance(found, dict) else None
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise UserError(
            f"{request}: answers {_shape(body)}, expected a list of objects "
            + (f"in {items!r}" if items else "at the top"),
            code="rest-body",
        )
    return found


def _kind(answer: "httpx.Response") -> str:
    """Say what came, never what it says: a body may hold rows."""
    kind = answer.headers.get("content-type", "no content type").partition(";")[0]
    return f"{kind}, {len(answer.content)} bytes"


def _shape(body: Any) -> str:
    """Say how an answer is built, with the names of its fields and no value."""
    match body:
        case dict():
            return f"an object with {', '.join(map(repr, list(body)[:5])) or 'no field'}"
        case list():
            return f"a list of {', '.join(sorted({type(one).__name__ for one in body})) or 'none'}"
    return f"a {type(body).__name__}"
