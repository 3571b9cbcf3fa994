"""Requests through a router to upstreams, over real sockets."""

import collections
import time
from typing import Any

import httpx
import pytest

from tests.inference.router.conftest import Route, document, echo
from tests.inference.transport.conftest import Running, Serve

INFER = "/v2/models/delays/infer"
USERS = [f"user-{n}" for n in range(200)]


def client(running: Running) -> httpx.Client:
    return httpx.Client(base_url=f"http://127.0.0.1:{running.port}", timeout=5, verify=False)  # noqa: S501 - no TLS here, and no time lost on it


def of(user: str, **more: str) -> dict[str, str]:
    return {"x-user-id": user, **more}


@pytest.fixture
def ports(serve: Serve) -> dict[str, int]:
    return {name: serve(echo(name)).port for name in "ab"}


def test_a_request_passes_through_unchanged(route: Route, ports: dict[str, int]) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with client(route(document(ports))) as ask:
        answer = ask.post(
            "/v2/models/a%2Fb/infer?x=%20y",
            content=b"{}",
            headers=of("bob", traceparent=parent, authorization="Bearer t"),
        )

    got = answer.json()
    assert (got["method"], got["target"]) == ("POST", "/v2/models/a%2Fb/infer?x=%20y")
    assert got["body"] == "{}"
    assert got["headers"]["traceparent"] == parent
    assert got["headers"]["authorization"] == "Bearer t"
    assert got["headers"]["x-falaj-variant"] == got["upstream"]
    assert got["headers"]["host"] == f"127.0.0.1:{ports[got['upstream']]}"


def test_the_answer_tells_the_variant_and_keeps_what_the_upstream_said(
    route: Route, ports: dict[str, int]
) -> None:
    with client(route(document(ports))) as ask:
        answer = ask.get("/v2", headers=of("bob"))

    assert answer.headers.get_list("x-falaj-variant") == [answer.json()["upstream"]]
    assert answer.headers.get_list("set-cookie") == ["one=1", "two=2"]


def test_headers_of_one_connection_do_not_pass(route: Route, ports: dict[str, int]) -> None:
    sent = of("bob", connection="keep-alive, x-private", te="trailers", **{"x-private": "1"})
    sent["keep-alive"] = "timeout=5"
    with client(route(document(ports))) as ask:
        got = ask.get("/v2", headers=sent).json()["headers"]

    assert not {"connection", "te", "keep-alive", "x-private"} & got.keys()


def test_a_subject_keeps_its_variant_and_variants_their_shares(
    route: Route, ports: dict[str, int]
) -> None:
    with client(route(document(ports, a=75, b=25))) as ask:
        first, again = (
            [ask.get("/v2", headers=of(user)).headers["x-falaj-variant"] for user in USERS]
            for _ in range(2)
        )

    assert first == again
    assert abs(collections.Counter(first)["a"] - 150) < 31  # five standard deviations


def test_a_browser_without_a_name_is_known_by_its_cookie(
    route: Route, ports: dict[str, int]
) -> None:
    running, got = route(document(ports)), set[str]()
    for _ in range(20):
        with client(running) as ask:
            answers = [ask.get("/v2") for _ in range(5)]
        assert "falaj-subject" in answers[0].cookies
        assert "falaj-subject" not in answers[1].cookies
        [variant] = {answer.headers["x-falaj-variant"] for answer in answers}
        got.add(variant)

    assert got == {"a", "b"}


def test_nobody_chooses_a_variant_unless_that_is_allowed(
    route: Route, ports: dict[str, int]
) -> None:
    with client(route(document(ports, a=100, b=0))) as ask:
        answer = ask.get("/v2", headers=of("bob", **{"x-falaj-variant": "b"}))

    assert answer.headers["x-falaj-variant"] == "a"


def test_where_it_is_allowed_a_variant_without_weight_can_be_tried(
    route: Route, ports: dict[str, int]
) -> None:
    running = route(document(ports, a=100, b=0), forced_by=b"x-try")
    with client(running) as ask:
        tried = ask.get("/v2", headers=of("bob", **{"x-try": "b"}))
        unknown = ask.get("/v2", headers=of("bob", **{"x-try": "z"}))
        counted = ask.get("/metrics").text

    assert tried.json()["upstream"] == "b"
    assert (unknown.status_code, unknown.json()["error"][-4:]) == (400, "a, b")
    assert 'assigned="forced",code="200",experiment="delays",variant="b"} 1.0' in counted


def test_a_dead_upstream_fails_its_own_subjects_and_nobody_else(route: Route, serve: Serve) -> None:
    up = {name: serve(echo(name)) for name in "ab"}
    with client(route(document({name: one.port for name, one in up.items()}))) as ask:
        before = {u: ask.post(INFER, headers=of(u)).json()["upstream"] for u in USERS[:40]}
        up["a"].end()
        after = {u: ask.post(INFER, headers=of(u)) for u in USERS[:40]}

    for user, answer in after.items():
        assert answer.headers["x-falaj-variant"] == before[user]
        assert answer.status_code == (502 if before[user] == "a" else 200)
    assert {before[user] for user in after} == {"a", "b"}


def test_a_failure_does_not_tell_addresses(route: Route, ports: dict[str, int]) -> None:
    with client(route(document(ports | {"a": 1}, a=100, b=0))) as ask:
        answer = ask.get("/v2")

    assert answer.status_code == 502
    assert answer.json() == {"error": "variant a did not answer"}
    assert "falaj-subject" in answer.cookies


def test_a_slow_upstream_is_given_up_and_holds_nobody_else_up(route: Route, serve: Serve) -> None:
    ports = {"a": serve(echo("a", seconds=30)).port, "b": serve(echo("b")).port}
    running = route(document(ports), forced_by=b"x-try", answer_seconds=0.3)
    with client(running) as ask:
        began = time.monotonic()
        slow = ask.post(INFER, headers={"x-try": "a"})
        took = time.monotonic() - began
        fast = ask.post(INFER, headers={"x-try": "b"})

    assert (slow.status_code, fast.status_code) == (504, 200)
    assert 0.3 <= took < 2


def test_more_than_an_upstream_may_take_is_refused_for_now(route: Route, serve: Serve) -> None:
    said = document({"a": serve(echo("a")).port})
    with client(route(said, connections=0)) as ask:
        answer = ask.post(INFER)

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        pytest.param({"method": "DELETE", "url": "/v2"}, 405, id="method"),
        pytest.param({"method": "POST", "url": INFER, "content": b"x" * 2000}, 413, id="body"),
    ],
)
def test_what_the_router_itself_refuses(
    route: Route, ports: dict[str, int], asked: dict[str, Any], status: int
) -> None:
    with client(route(document(ports), most=1000)) as ask:
        assert ask.request(**asked).status_code == status


@pytest.mark.parametrize(
    ("dead", "weight", "status"), [("b", 50, 503), ("b", 0, 200)], ids=["weighted", "without"]
)
def test_ready_means_every_variant_that_somebody_gets(
    route: Route, ports: dict[str, int], dead: str, weight: float, status: int
) -> None:
    with client(route(document(ports | {dead: 1}, a=100 - weight, b=weight))) as ask:
        assert ask.get("/v2/health/ready").status_code == status
        assert ask.get("/v2/health/live").status_code == 200


def test_counts_requests_and_times_by_variant(route: Route, ports: dict[str, int]) -> None:
    with client(route(document(ports | {"b": 1}, a=100, b=0), forced_by=b"x-try")) as ask:
        for _ in range(3):
            ask.get("/v2", headers=of("bob"))
        ask.get("/v2", headers={"x-try": "b"})
        counted = ask.get("/metrics")

    assert counted.headers["content-type"].startswith("text/plain")
    for line in (
        'requests_total{assigned="header",code="200",experiment="delays",variant="a"} 3.0',
        'requests_total{assigned="forced",code="502",experiment="delays",variant="b"} 1.0',
        'seconds_count{experiment="delays",variant="a"} 3.0',
    ):
        assert f"falaj_router_{line}\n" in counted.text


def test_a_client_that_goes_is_counted_and_its_upstream_is_let_go(
    route: Route, serve: Serve
) -> None:
    slow = serve(echo("a", seconds=30))
    running = route(document({"a": slow.port}))
    with running.connect() as impatient:
        impatient.sendall(b"GET /v2 HTTP/1.1\r\nhost: x\r\nx-user-id: bob\r\n\r\n")
        time.sleep(0.1)
        assert slow.server.connections == 1
    time.sleep(0.1)

    with client(running) as ask:
        counted = ask.get("/metrics").text
    assert 'code="499"' in counted
    assert slow.server.connections == 0
