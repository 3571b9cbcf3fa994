"""Buckets are asked for by HEAD alone, with the environment's credentials."""

import http.server
import socket
import threading
from collections.abc import Iterator
from typing import ClassVar

import pytest

from components.foundation.site import ObjectStorePlace
from components.governance.doctor.checks import storage
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


def looked(endpoint: str, **environment: str) -> Finding:
    case = Case(environment=environment)
    place = ObjectStorePlace(endpoint=endpoint, provider="on-premises", region="ae-abudhabi")
    case.site = case.site.model_copy(update={"object_store": place})
    return case.findings()["buckets"]


def test_each_bucket_is_asked_for_and_what_is_wrong_is_said(store: str) -> None:
    Store.asked.clear()

    found = looked(store, **CREDENTIALS)

    assert found.got == "falaj-models is not there, falaj-evidence is refused"
    assert found.expected == "all 7, open to these credentials"
    assert found.do.startswith("see that the job falaj-buckets has run, or run `falaj buckets")
    assert found.do.endswith("; correct the credentials, or the policy of the bucket")
    assert [method for method, _ in Store.asked] == ["HEAD"] * 7


def test_a_status_that_says_nothing_of_rights_is_told_as_it_is(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Store, "answers", {"falaj-raw": 405})

    assert looked(store, **CREDENTIALS).got == "falaj-raw has status 405"


def test_buckets_are_asked_for_by_what_the_store_calls_them(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Store, "answers", {})

    found = looked(store, **CREDENTIALS, FALAJ_BUCKETS="s3://acme-ml")

    assert (found.status, found.got[:26]) == (Status.WELL, "acme-ml-raw, acme-ml-curat")


def test_a_start_of_names_that_is_none_is_told_and_is_no_failure_of_kubernetes(store: str) -> None:
    found = looked(store, **CREDENTIALS, FALAJ_BUCKETS="s3://UPPER")

    assert found.status is Status.UNKNOWN
    assert "UPPER" in found.got
    assert found.do.startswith("look again, or see `falaj errors ")


@pytest.mark.parametrize("name", CREDENTIALS)
def test_without_credentials_nothing_is_asked(name: str, store: str) -> None:
    Store.asked.clear()

    found = looked(store, **{k: v for k, v in CREDENTIALS.items() if k != name})

    assert (found.status, "no credentials" in found.got) == (Status.UNKNOWN, True)
    assert Store.asked == []


def test_a_store_inside_the_cluster_is_not_asked_from_outside() -> None:
    found = looked("http://seaweedfs.kubeflow.svc:9000", **CREDENTIALS)

    assert "a name inside the cluster" in found.got


def test_a_store_that_does_not_answer_is_missing() -> None:
    [port] = free_ports(1)

    found = looked(f"http://127.0.0.1:{port}", **CREDENTIALS)

    assert found.status is Status.MISSING
    assert found.got == f"http://127.0.0.1:{port}: did not answer (EndpointConnectionError)"


def test_a_store_that_fails_has_not_answered(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Store, "answers", {"falaj-raw": 500})

    assert looked(store, **CREDENTIALS).got == f"{store}: failed (500)"


def test_a_store_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "_LONGEST_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        found = looked(f"http://127.0.0.1:{silent.getsockname()[1]}", **CREDENTIALS)

    assert (found.status, "no answer within 0.5 s" in found.got) == (Status.MISSING, True)
