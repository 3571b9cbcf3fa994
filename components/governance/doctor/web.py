"""Get a page from where the user stands; a name inside the cluster leads nowhere from outside."""

import urllib.parse
from dataclasses import dataclass

from components.foundation.errors import InfrastructureError

_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Page:
    """What a web server answered."""

    status: int
    text: str


def fetch(url: str) -> Page:
    """Get a page once, and follow nothing.

    Raises:
        InfrastructureError: nothing answered.
    """
    import urllib3

    try:
        answer = urllib3.request("GET", url, timeout=_TIMEOUT_S, retries=False, redirect=False)
    except urllib3.exceptions.HTTPError as error:
        raise InfrastructureError(
            f"{url}: did not answer ({type(error).__name__}); check the address",
            code="page-unreachable",
        ) from error
    return Page(answer.status, answer.data.decode(errors="replace"))


def is_inside(url: str) -> bool:
    """Say whether an address is a Service's, whose name only pods can look up."""
    host = urllib.parse.urlsplit(url).hostname or ""
    short = not {".", ":"} & set(host) and host != "localhost"
    return short or ".svc." in f"{host}."
