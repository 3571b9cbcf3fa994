import datetime
import email.utils
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from components.foundation.errors import InfrastructureError, UserError
from components.foundation.tables import TableRef, Tables
from components.ingestion.commit import Landed, Landing
from components.ingestion.ingest_rest import collection
from components.ingestion.ingest_rest.client import Budget, Client
from components.ingestion.ingest_rest.component import ingest_rest
from components.ingestion.ingest_rest.pagination import Pagination, Request

URL = "http://service.test/rows"
Answer = Callable[[httpx.Request], httpx.Response]


def rows(*ids: int) -> list[dict[str, Any]]:
    return [{"id": i, "name": f"row {i}"} for i in ids]


def answering(*answers: httpx.Response | Exception) -> Answer:
    """Give these answers in turn."""
    left = list(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        one = left.pop(0)
        if isinstance(one, Exception):
            raise one
        return one

    return answer


def items(*ids: int, **fields: Any) -> httpx.Response:
    return httpx.Response(200, json={"items": rows(*ids), **fields})


def client(answer: Answer, *, seconds: float = 60) -> tuple[Client, list[float]]:
    """Return a client of a made-up service, and the waits it will make."""
    waits: list[float] = []
    http = httpx.Client(transport=httpx.MockTransport(answer))
    return Client(http, Budget(seconds, waits.append)), waits


def paged(pagination: Pagination = Pagination.PAGE, name: str = "page") -> collection.Collection:
    return collection.Collection(URL, pagination, name, "id", "since")


def ingest(
    tables: Tables, target: str, answer: Answer, source: collection.Collection | None = None
) -> Landed:
    return collection.ingest(Landing.open(tables, target), source or paged(), client(answer)[0])


@pytest.fixture
def target(unique: str) -> str:
    return f"s3://falaj-raw/{unique}"


def read(answer: Answer, source: collection.Collection) -> list[int]:
    pages = source.pages(client(answer)[0], after=None)
    return [row["id"] for page in pages for row in page.rows]


def test_page_numbers_are_counted_until_a_page_is_empty() -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.params.get("page", "1"))
        return items(*{"1": (1, 2), "2": (3,)}.get(seen[-1], ()))

    assert read(answer, paged()) == [1, 2, 3]
    assert seen == ["1", "2", "3"]


def test_a_token_is_sent_back_until_there_is_none() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return items(3) if request.url.params.get("next") == "abc" else items(1, 2, next="abc")

    assert read(answer, paged(Pagination.TOKEN, "next")) == [1, 2, 3]


def test_a_link_header_is_followed() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.params.get("p"):
            return items(3)
        headers = {"Link": '</rows?p=2>; rel="next", </rows>; rel="first"'}
        return httpx.Response(200, json={"items": rows(1, 2)}, headers=headers)

    assert read(answer, paged(Pagination.LINK)) == [1, 2, 3]


def test_a_link_to_another_host_is_not_followed() -> None:
    headers = {"Link": '<http://elsewhere.test/rows>; rel="next"'}
    answer = answering(httpx.Response(200, json={"items": rows(1)}, headers=headers))

    with pytest.raises(UserError, match="another host, http://elsewhere"):
        read(answer, paged(Pagination.LINK))


def test_no_message_shows_a_query_string_and_no_address_holds_a_password() -> None:
    one, _ = client(lambda _: httpx.Response(404, text="gone"))
    with pytest.raises(UserError) as caught:
        one.get(Request(f"{URL}?api_key=hidden", {"token": "hidden"}))
    assert f"{URL}: answers 404" in str(caught.value)
    assert "hidden" not in str(caught.value)

    with pytest.raises(UserError, match="token_env") as caught:
        collection.Collection("https://me:hidden@h/rows", Pagination.PAGE, "page", "id", "since")
    assert "hidden" not in str(caught.value)


def test_pages_that_go_in_a_circle_are_an_error() -> None:
    with pytest.raises(UserError, match="in a circle"):
        read(lambda _: items(1, next="same"), paged(Pagination.TOKEN, "next"))


def test_retry_after_is_honoured_to_the_second() -> None:
    one, waits = client(answering(httpx.Response(429, headers={"Retry-After": "7"}), items(1)))

    page = one.get(Request(URL))

    assert [row["id"] for row in page.rows] == [1]
    assert waits == [7]


def test_retry_after_may_be_a_date() -> None:
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=20)
    busy = httpx.Response(429, headers={"Retry-After": email.utils.format_datetime(until)})
    one, waits = client(answering(busy, items(1)))

    one.get(Request(URL))

    assert 15 < waits[0] <= 20


def test_503_and_silence_are_waited_out_longer_each_time() -> None:
    one, waits = client(
        answering(
            httpx.Response(503), httpx.ConnectError("refused"), httpx.ReadTimeout("late"), items(1)
        )
    )

    one.get(Request(URL))

    assert waits == sorted(waits)
    assert len(set(waits)) == 3


def test_a_service_that_stays_busy_may_be_tried_later() -> None:
    one, waits = client(lambda _: httpx.Response(503), seconds=5)

    with pytest.raises(InfrastructureError, match=r"answers 503.*run again later"):
        one.get(Request(URL))

    assert sum(waits) <= 5


def test_a_wait_beyond_the_budget_is_not_begun() -> None:
    one, waits = client(lambda _: httpx.Response(429, headers={"Retry-After": "3600"}))

    with pytest.raises(InfrastructureError, match="asks to wait 3600 s"):
        one.get(Request(URL))

    assert waits == []


def test_the_budget_is_one_for_all_requests_of_a_run() -> None:
    busy = [httpx.Response(429, headers={"Retry-After": "4"}), items(1)]
    one, waits = client(answering(*busy, *busy), seconds=6)

    one.get(Request(URL))
    with pytest.raises(InfrastructureError, match=r"2\.0 s of the waiting budget"):
        one.get(Request(URL))

    assert waits == [4]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (httpx.Response(200, text="<html>Welcome"), "answers text/plain, 13 bytes, expected JSON"),
        (httpx.Response(200, json={"rows": []}), "expected a list of objects in 'items'"),
        (httpx.Response(200, json={"items": [1]}), "expected a list of objects"),
        (httpx.Response(401), "refused our credentials"),
        (
            httpx.Response(404, text="no such thing"),
            "answers 404 (text/plain, 13 bytes), expected 200",
        ),
        (httpx.Response(302, headers={"Location": "/login"}), "answers 302"),
    ],
    ids=["no json", "no items", "no objects", "no access", "not found", "elsewhere"],
)
def test_an_answer_that_cannot_get_better_is_shown_and_not_asked_again(
    answer: httpx.Response, said: str
) -> None:
    one, waits = client(lambda _: answer)

    with pytest.raises(UserError) as caught:
        one.get(Request(URL))

    assert said in str(caught.value)
    assert waits == []


def test_rows_may_lie_deeper_or_at_the_top() -> None:
    deep, _ = client(lambda _: httpx.Response(200, json={"data": {"rows": rows(1)}}))
    deep.items = "data.rows"
    top, _ = client(lambda _: httpx.Response(200, json=rows(2)))
    top.items = ""

    assert [one.get(Request(URL)).rows[0]["id"] for one in (deep, top)] == [1, 2]


def test_a_second_run_asks_behind_the_cursor_and_adds_only_news(
    tables: Tables, target: str
) -> None:
    asked: list[str] = []

    def later(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.params["since"])
        return items() if len(asked) > 1 else items(2, 3)

    ingest(tables, target, answering(items(2, 1), items()))
    landed = ingest(tables, target, later)

    assert asked == ["2", "2"]
    assert (landed.rows, landed.total) == (1, 3)  # the service gave 2 again


def test_no_news_writes_no_version(tables: Tables, target: str) -> None:
    first = ingest(tables, target, answering(items(1), items()))

    second = ingest(tables, target, answering(items()))

    assert second == Landed(first.table, 0, 1)


def test_killed_between_pages_nothing_is_committed_and_run_again_nothing_is_lost(
    tables: Tables, target: str
) -> None:
    def killed(request: httpx.Request) -> httpx.Response:
        if request.url.params.get("page"):
            raise KeyboardInterrupt
        return items(1, 2)

    with pytest.raises(KeyboardInterrupt):
        ingest(tables, target, killed)
    landed = ingest(tables, target, answering(items(1, 2), items(3), items()))

    assert tables.read(landed.table).sort_by("id").column("id").to_pylist() == [1, 2, 3]


def test_a_collection_that_never_had_a_row_is_an_error(tables: Tables, target: str) -> None:
    with pytest.raises(UserError, match="is empty"):
        ingest(tables, target, answering(items()))


def test_a_cursor_that_is_no_integer_is_named(tables: Tables, target: str) -> None:
    answer = answering(httpx.Response(200, json={"items": [{"id": "7"}]}), items())

    with pytest.raises(UserError, match="cursor 'id' is str; expected an integer"):
        ingest(tables, target, answer)


def test_whole_numbers_in_a_column_of_fractions_are_no_drift(tables: Tables, target: str) -> None:
    def values(*pairs: tuple[int, object]) -> httpx.Response:
        return httpx.Response(200, json={"items": [{"id": i, "x": x} for i, x in pairs]})

    ingest(tables, target, answering(values((1, 0.5), (2, None)), items()))
    landed = ingest(tables, target, answering(values((3, 4)), items()))
    ingest(tables, target, answering(values((4, None)), items()))

    assert landed.total == 3
    with pytest.raises(UserError, match="column 'x' is double, the source now gives text"):
        ingest(tables, target, answering(values((5, "warm")), items()))


@pytest.mark.usefixtures("environment")
def test_the_face_sends_its_token_and_names_one_that_is_missing(
    target: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tables: Tables
) -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["Authorization"])
        return httpx.Response(200, content=json.dumps(rows(1)).encode())

    opened = httpx.Client
    monkeypatch.setattr(
        httpx, "Client", lambda **k: opened(transport=httpx.MockTransport(answer), **k)
    )
    arguments = {"url": URL, "target": target, "pagination": "link", "items": "", "token_env": "T"}

    with pytest.raises(SystemExit):
        ingest_rest.python_func(**arguments)
    assert "'T' is not set" in capsys.readouterr().err
    monkeypatch.setenv("T", "let me in")
    table, count, total = ingest_rest.python_func(**arguments)

    assert set(seen) == {"Bearer let me in"}
    assert (count, total, tables.rows(TableRef.parse(table))) == (1, 1, 1)


def test_a_pagination_with_a_typo_names_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'token'"):
        Pagination.parse("tokn")
