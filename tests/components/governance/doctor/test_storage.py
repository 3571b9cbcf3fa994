"""Buckets are asked for by HEAD alone, with the environment's credentials."""

import http.server
import threading
from collections.abc import Iterator
from typing import ClassVar

import pytest

from components.foundation.site import ObjectStorePlace
from components.governance.doctor.interface import Finding, Status
from tests.components.governance.doctor.fit import Case
from tests.inference.processes import free_ports

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}


class Store(http.server.BaseHTTPRequestHandler):
    """Has all buckets but one, and refuses another."""

    asked: ClassVar[list[tuple[str, str]]] = []
    answers: ClassVar[dict[str, int]] = {"falaj-models": 404, "falaj-evidence": 403}

    def log_message(self, format: str, *args: object) -> None:
        pass

    def answer(self) -> None:
        bucket = self.path.strip("/")
        self.asked.append((self.command, bucket))
        self.send_response(self.answers.get(bucket, 200))
        self.send_header("content-length", "0")
        self.end_headers()

    do_HEAD = do_GET = do_PUT = answer  # noqa: N815 - http.server's names


@pytest.fixture
def store() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Store) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def looked(endpoint: str, **environment: str) -> dict[str, Finding]:
    case = Case(environment=environment)
    place = ObjectStorePlace(endpoint=endpoint, provider="on-premises", region="ae-abudhabi")
    case.site = case.site.model_copy(update={"object_store": place})
    found = [one for one in case.findings().values() if one.what.startswith("bucket ")]
    return {one.what.removeprefix("bucket "): one for one in found}


def test_each_bucket_is_asked_for_and_what_is_wrong_is_said(store: str) -> None:
    found = looked(store, **CREDENTIALS)

    well = [name for name, one in found.items() if one.status is Status.WELL]
    assert (len(found), len(well)) == (7, 5)
    assert "falaj-models is not there" in found["falaj-models"].got
    assert found["falaj-evidence"].got == "falaj-evidence: status 403"
    assert {method for method, _ in Store.asked} == {"HEAD"}


def test_buckets_are_asked_for_by_what_the_store_calls_them(store: str) -> None:
    found = looked(store, **CREDENTIALS, FALAJ_BUCKETS="s3://acme-ml")

    assert found["falaj-raw"].got == "acme-ml-raw"


@pytest.mark.parametrize("name", CREDENTIALS)
def test_without_credentials_nothing_is_asked(name: str, store: str) -> None:
    Store.asked.clear()

    found = looked(store, **{k: v for k, v in CREDENTIALS.items() if k != name})

    assert {one.status for one in found.values()} == {Status.UNKNOWN}
    assert "no credentials" in found["falaj-raw"].got
    assert Store.asked == []


def test_a_store_inside_the_cluster_is_not_asked_from_outside() -> None:
    found = looked("http://seaweedfs.kubeflow.svc:9000", **CREDENTIALS)

    assert "a name inside the cluster" in found["falaj-raw"].got


def test_a_store_that_does_not_answer_is_missing() -> None:
    [port] = free_ports(1)

    found = looked(f"http://127.0.0.1:{port}", **CREDENTIALS)

    assert {one.status for one in found.values()} == {Status.MISSING}
    assert "did not answer (EndpointConnectionError)" in found["falaj-raw"].got
