"""A REST service that misbehaves."""

import json
from collections.abc import Mapping

import pytest

from components.ingestion.ingest_rest.component import ingest_rest
from tests.bad_input import service
from tests.bad_input.said import NUMBER, PLANTED, Fails, check

ROW = json.dumps({"items": [{"id": PLANTED, "name": NUMBER}]}).encode()
MIXED = json.dumps({"items": [{"id": 1, "n": 1}, {"id": 2, "n": PLANTED}]}).encode()
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("answer", "code", "said_of_it"),
    [
        ((429, ROW, {"Retry-After": "600"}), "rest-unavailable", "asks to wait 600 s"),
        ((503, ROW, {}), "rest-unavailable", "answers 503"),
        (
            (200, PLANTED.encode(), {"Content-Type": "text/html"}),
            "rest-body",
            "text/html, 15 bytes",
        ),
        ((200, json.dumps({"error": PLANTED}).encode(), JSON), "rest-body", "object with 'error'"),
        ((200, json.dumps([PLANTED]).encode(), JSON), "rest-body", "a list of str"),
        ((404, PLANTED.encode(), JSON), "rest-refused", "answers 404 (application/json, 15 bytes)"),
        ((401, PLANTED.encode(), JSON), "rest-denied", "token_env"),
        ((200, ROW, JSON), "cursor-not-integer", "cursor 'id' is str"),
        ((200, MIXED, JSON), "source-types-differ", "field 'n' mixes types (int, str)"),
    ],
    ids=["429", "503", "garbage", "error", "list", "404", "401", "cursor", "mixed"],
)
def test_a_service_that_misbehaves(
    fails: Fails, target: str, answer: tuple[int, bytes, Mapping[str, str]], code: str,
    said_of_it: str,
) -> None:  # fmt: skip
    with service.answering(*answer) as url:
        said = fails(ingest_rest, url=url, target=target, budget_seconds=0, pagination="token")

    check(said, code, said_of_it)


def test_a_service_that_is_cut_in_the_middle(fails: Fails, target: str) -> None:
    with service.answering(200, ROW, JSON, cut=100) as url:
        said = fails(ingest_rest, url=url, target=target, budget_seconds=0)

    check(said, "rest-unavailable", "no answer", "raise budget_seconds")
