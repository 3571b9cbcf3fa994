"""Read what is new in a paged collection, and commit it once, with the greatest cursor seen.

Pages may come in any order of the cursor, so the position moves only when all were read.
"""

import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.foundation import cost
from components.foundation.errors import UserError
from components.ingestion.commit import Landed, Landing
from components.ingestion.ingest_rest.client import Client
from components.ingestion.ingest_rest.pagination import Page, Pagination, Request, without_query

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Collection:
    """A paged collection whose rows carry an integer cursor that only grows.

    Attributes:
        page_name: the query parameter of the page number, or the field and parameter of the token.
        cursor: the field of a row that only grows, an id or microseconds since 1970.
        since: the query parameter that asks for rows behind a cursor.
    """

    url: str
    pagination: Pagination
    page_name: str
    cursor: str
    since: str

    def __post_init__(self) -> None:
        parts = urllib.parse.urlsplit(self.url)
        if parts.username or parts.password:
            raise UserError(
                f"url of {parts.hostname}: has a user or password in it; name the environment "
                "variable that holds a token in token_env",
                code="secret-in-address",
            )

    @property
    def uri(self) -> str:
        """The address without its query string, which may hold a token."""
        return without_query(self.url)

    @property
    def source(self) -> str:
        """Name the collection without its host, so a service that moves is not read again."""
        return f"rest:{urllib.parse.urlsplit(self.url).path}:{self.cursor}"

    def pages(self, client: Client, *, after: int | None) -> Iterator[Page]:
        """Yield the pages behind a cursor; raises UserError if they go in a circle."""
        request: Request | None = Request(self.url)
        if request and after is not None:
            request = request.asking(**{self.since: after})
        asked: set[str] = set()
        while request is not None:
            if repr(request) in asked:
                raise UserError(
                    f"{self.uri}: its pages go in a circle, back to {request}; check pagination "
                    "and page_name",
                    code="pages-in-a-circle",
                )
            asked.add(repr(request))
            page = client.get(request)
            cost.reads(self.uri, rows=len(page.rows), bytes=page.size)
            yield page
            request = self.pagination.next(page, name=self.page_name)

    def position(self, row: dict[str, Any]) -> int:
        value = row.get(self.cursor)
        if not isinstance(value, int) or isinstance(value, bool):
            raise UserError(
                f"{self.uri}: a row's cursor {self.cursor!r} is {type(value).__name__}; expected "
                "an integer in every row",
                code="cursor-not-integer",
            )
        return value


def ingest(landing: Landing, collection: Collection, client: Client) -> Landed:
    """Append every row behind the landing's position, in one commit."""
    after = landing.position(collection.source)
    read = [row for page in collection.pages(client, after=after) for row in page.rows]
    fresh = [row for row in read if after is None or collection.position(row) > after]
    if fresh:
        position = max(collection.position(row) for row in fresh)
        landing.append(_table(fresh, collection.uri), positions={collection.source: position})
    return landing.landed(collection.uri)


def _table(rows: list[dict[str, Any]], url: str) -> "pa.Table":
    """Make a table; a column without a single value is left out until it has one."""
    import pyarrow as pa

    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {}
    for name in names:
        values = [row.get(name) for row in rows]
        try:
            columns[name] = pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise UserError(
                f"{url}: field {name!r} mixes types ({_kinds(values)}); give it one at the source",
                code="source-types-differ",
            ) from error
    return pa.table({name: array for name, array in columns.items() if array.type != pa.null()})


def _kinds(values: list[Any]) -> str:
    return ", ".join(sorted({type(value).__name__ for value in values if value is not None}))
