"""The router as pods run it: started, told and ended by command line and signals."""

import contextlib
import pathlib
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.inference.processes import free_ports
from tests.inference.router.conftest import document, echo, write
from tests.inference.transport.conftest import Serve
from tests.inference.transport.pki import Authority

Popen = subprocess.Popen
PLAIN = "--allow_plaintext"


def command(config: pathlib.Path, port: int, *more: str) -> list[str]:
    base = [sys.executable, "-m", "inference.router", "--config", str(config)]
    return [*base, "--http_port", str(port), *more]


def log_of(config: pathlib.Path) -> pathlib.Path:
    return config.with_suffix(".log")


@contextlib.contextmanager
def routed(
    config: pathlib.Path, *more: str, scheme: str = "http", verify: Any = True
) -> Iterator[tuple["Popen[bytes]", httpx.Client]]:
    [port] = free_ports(1)
    with log_of(config).open("wb") as log:
        process = Popen(command(config, port, *(more or (PLAIN,))), stderr=log)
    url = f"{scheme}://127.0.0.1:{port}"
    with httpx.Client(base_url=url, timeout=5, verify=verify, trust_env=False) as client:
        try:
            wait(client, lambda answer: answer.status_code == 200)
            yield process, client
        finally:
            process.kill()
            process.wait()


def wait(client: httpx.Client, holds: Any, path: str = "/v2/health/live", **headers: str) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if holds(client.get(path, headers=headers)):
                return
        time.sleep(0.02)
    raise AssertionError("not so within 20 s")


def variants(client: httpx.Client) -> str:
    users = ({"x-user-id": f"user-{n}"} for n in range(60))
    return "".join(client.get("/v2", headers=one).headers["x-falaj-variant"] for one in users)


@pytest.fixture
def ports(serve: Serve) -> dict[str, int]:
    return {name: serve(echo(name)).port for name in "ab"}


def test_subjects_keep_their_variants_when_the_router_starts_anew(
    tmp_path: pathlib.Path, ports: dict[str, int]
) -> None:
    config = write(tmp_path / "router.json", document(ports))
    with routed(config) as (_, client):
        before = variants(client)
    with routed(config) as (_, client):
        after = variants(client)

    assert before == after
    assert set(before) == {"a", "b"}


def test_what_is_under_way_is_answered_when_it_is_ended(
    tmp_path: pathlib.Path, serve: Serve
) -> None:
    ports = {"a": serve(echo("a", seconds=0.5)).port}
    answers: list[httpx.Response] = []
    with routed(write(tmp_path / "router.json", document(ports))) as (process, client):
        asking = threading.Thread(target=lambda: answers.append(client.post("/v2", content=b"x")))
        asking.start()
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        asking.join()

    assert [answer.status_code for answer in answers] == [200]


def test_not_ready_but_alive_while_it_waits_to_end(
    tmp_path: pathlib.Path, ports: dict[str, int]
) -> None:
    config = write(tmp_path / "router.json", document(ports))
    with routed(config, PLAIN, "--drain_delay_s", "20") as (process, client):
        assert client.get("/v2/health/ready").status_code == 200
        process.send_signal(signal.SIGTERM)

        wait(client, lambda answer: answer.status_code == 503, "/v2/health/ready")
        assert client.get("/v2", headers={"x-user-id": "bob"}).status_code == 200


def test_a_new_configuration_is_taken_whole_or_not_at_all(
    tmp_path: pathlib.Path, ports: dict[str, int]
) -> None:
    config = write(tmp_path / "router.json", document(ports, a=100, b=0))
    with routed(config) as (process, client):
        assert set(variants(client)) == {"a"}

        write(config, document(ports, a=0, b=100))
        process.send_signal(signal.SIGHUP)
        wait(client, lambda r: r.headers["x-falaj-variant"] == "b", "/v2", **{"x-user-id": "bob"})
        assert set(variants(client)) == {"b"}

        write(config, document(ports, a=100, b=100))
        process.send_signal(signal.SIGHUP)
        time.sleep(0.1)
        assert set(variants(client)) == {"b"}

    assert "the experiment stays as it was: " in (told := log_of(config).read_text())
    assert "the weights sum to 200" in told


def test_serves_over_tls(tmp_path: pathlib.Path, ports: dict[str, int]) -> None:
    authority = Authority("ours")
    cert, key = authority.issue("router").write(tmp_path)
    trusting = ssl.create_default_context(cadata=authority.cert.decode())
    flags = ("--tls_cert", str(cert), "--tls_key", str(key))
    config = write(tmp_path / "router.json", document(ports))

    with routed(config, *flags, scheme="https", verify=trusting) as (_, client):
        assert client.get("/v2").status_code == 200


@pytest.mark.parametrize(
    ("said", "flags", "why"),
    [
        pytest.param({}, [PLAIN], "router-config", id="no experiment"),
        pytest.param(None, [], "tls-unset", id="no word on TLS"),
        pytest.param(None, [PLAIN, "--upstream_ca", "/none"], "tls-malformed", id="no authorities"),
    ],
)
def test_ends_with_2_where_it_is_told_wrong(
    tmp_path: pathlib.Path, said: Any, flags: list[str], why: str
) -> None:
    config = write(tmp_path / "router.json", document({"a": 1}) if said is None else said)

    ended = subprocess.run(command(config, 0, *flags), capture_output=True, text=True, timeout=20)

    assert ended.returncode == 2
    assert f"[{why}]" in ended.stderr
