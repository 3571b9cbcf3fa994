"""How a collection is paged: by page number, by a token in the answer, or by a Link header.

Each style is one function: from a page to the request of the page behind it, or None.
"""

import enum
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from components.foundation.choice import chosen
from components.foundation.errors import UserError


@dataclass(frozen=True, slots=True)
class Request:
    """An address and its query."""

    url: str
    query: Mapping[str, str | int] = field(default_factory=dict)

    def __str__(self) -> str:
        """Show the address without its query string, which may hold a token."""
        return without_query(self.url)

    def asking(self, **query: str | int) -> "Request":
        return replace(self, query={**self.query, **query})


@dataclass(frozen=True, slots=True)
class Page:
    """One answer: the request, the JSON body, its rows, where a Link header points, its bytes."""

    request: Request
    body: Any
    rows: list[dict[str, Any]]
    link: str = ""
    size: int = 0


class Pagination(enum.StrEnum):
    """The paging styles; `Pagination.parse(str(p)) == p`."""

    PAGE = "page"
    TOKEN = "token"  # noqa: S105 - a page token, no secret
    LINK = "link"

    @classmethod
    def parse(cls, text: str) -> "Pagination":
        return chosen(text, cls, setting="pagination")

    def next(self, page: Page, *, name: str) -> Request | None:
        """Return the request behind a page; `name` is the page parameter or the token field."""
        return _STYLES[self](page, name)


def _next_page(page: Page, name: str) -> Request | None:
    """Count pages from 1, until one is empty."""
    if not page.rows:
        return None
    return page.request.asking(**{name: int(page.request.query.get(name, 1)) + 1})


def _next_token(page: Page, name: str) -> Request | None:
    """Send back the token the answer carries, until it carries none."""
    token = page.body.get(name) if isinstance(page.body, dict) else None
    return page.request.asking(**{name: str(token)}) if token else None


def _next_link(page: Page, name: str) -> Request | None:
    """Follow the Link header, but never to another host: the token would go with it."""
    if not page.link:
        return None
    url = urllib.parse.urljoin(page.request.url, page.link)
    if _origin(url) != _origin(page.request.url):
        raise UserError(
            f"{page.request}: its Link header points to another host, {without_query(url)}; "
            "not followed",
            code="link-leaves-host",
        )
    return Request(url)


def without_query(url: str) -> str:
    return urllib.parse.urlsplit(url)._replace(query="", fragment="").geturl()


def _origin(url: str) -> tuple[str, str]:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.netloc


_STYLES: Mapping[Pagination, Callable[[Page, str], Request | None]] = {
    Pagination.PAGE: _next_page,
    Pagination.TOKEN: _next_token,
    Pagination.LINK: _next_link,
}
