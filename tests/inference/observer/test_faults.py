"""A real server whose object store stalls, dies and comes back; clients must not notice."""

import contextlib
import dataclasses
import http.client
import json
import pathlib
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest

from components.foundation.storage import Address, ObjectStore, Settings
from tests.faults import proxy
from tests.faults.proxy import Fault, Plan, Proxy
from tests.inference.models import request, write_model
from tests.inference.observer.observed import ids_in, on_disk, wait_until
from tests.inference.server.test_process import served

pytestmark = pytest.mark.faults

ROWS = 20  # a request
SECONDS = 3.0  # of load
SLOWEST = 2.0  # that an answer may take on a busy machine; the store keeps silent for longer
SPOOL = 1 << 20
Server = tuple["subprocess.Popen[str]", int]


@dataclasses.dataclass
class Place:
    """Where a server observes to, by way of a proxy, and where its parts wait."""

    proxy: Proxy
    store: ObjectStore
    prefix: str
    folder: pathlib.Path

    @contextlib.contextmanager
    def server(self, *, mib: int = 1) -> Iterator[Server]:
        model = write_model(self.folder / "model")
        to, spool = f"s3://falaj-raw/{self.prefix}", self.folder / "spool"
        options = [f"--observations={to}", f"--spool_dir={spool}", f"--spool_mib={mib}"]
        with served(model, *options) as (process, port):
            # What it says is not looked at, and must not fill the pipe.
            assert process.stderr
            threading.Thread(target=process.stderr.read, daemon=True).start()
            yield process, port

    @property
    def waiting(self) -> int:
        return on_disk(self.folder / "spool")

    def ids(self) -> list[str]:
        """Return the id of every row that arrived."""
        parts = self.store.list(Address("falaj-raw", f"{self.prefix}/"))
        return ids_in(self.store.get(part.address) for part in parts)


@pytest.fixture
def place(
    s3: Settings, unique: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    with proxy.before(s3.endpoint) as before:
        seen = dataclasses.replace(s3, endpoint=before.endpoint, seconds=0.4)
        for name, value in seen.environment().items():
            monkeypatch.setenv(name, value)
        yield Place(before, ObjectStore(s3), f"observations/{unique}", tmp_path)


@dataclasses.dataclass
class Load:
    """Clients that ask as fast as they are answered."""

    port: int
    statuses: list[int] = dataclasses.field(default_factory=list)
    seconds: list[float] = dataclasses.field(default_factory=list)

    def run(self, clients: int = 3) -> None:
        threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _ask(self, client: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        until, number = time.monotonic() + SECONDS, 0
        while time.monotonic() < until:
            body = request(delay=[1] * ROWS, carrier=[0] * ROWS, id=f"{client}-{number}")
            began = time.perf_counter()
            connection.request("POST", "/v2/models/delays/infer", json.dumps(body))
            response = connection.getresponse()
            response.read()
            self.seconds.append(time.perf_counter() - began)
            self.statuses.append(response.status)
            number += 1
        connection.close()


def dropped(port: int) -> int:
    """Read from the metrics how many observations were dropped."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    found = re.search(r"^observations_dropped_total\{.*\} ([0-9.e+]+)$", text, re.MULTILINE)
    assert found
    return int(float(found[1]))


@pytest.mark.alone
@pytest.mark.parametrize("fault", [Fault.STALL, Fault.REFUSED, Fault.SLOW_DOWN])
def test_nobody_waits_for_a_store_that_is_away_and_what_was_kept_arrives_once(
    place: Place, fault: Fault
) -> None:
    place.proxy.plan(Plan((fault,), lasting=True))
    with place.server() as (_, port):
        load = Load(port)
        load.run()

        assert set(load.statuses) == {200}
        assert max(load.seconds) < SLOWEST
        wait_until(lambda: dropped(port) > 0)
        assert SPOOL / 2 < place.waiting <= SPOOL
        assert place.ids() == []

        place.proxy.plan(Plan())
        wait_until(lambda: place.waiting == 0, seconds=15)
        arrived = place.ids()
        assert len(arrived) == len(set(arrived)) > 1000
        assert len(arrived) + dropped(port) == ROWS * len(load.statuses)


def test_a_lost_answer_doubles_nothing(place: Place) -> None:
    place.proxy.plan(Plan((Fault.LOST, Fault.CUT_ANSWER)))
    with place.server(mib=64) as (process, port):
        load = Load(port)
        load.run(clients=1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0

    assert len(place.proxy.plan(Plan())) >= 1
    arrived = place.ids()
    assert len(arrived) == len(set(arrived)) == ROWS * len(load.statuses)


def test_what_a_killed_server_had_on_disk_arrives_once_after_its_restart(place: Place) -> None:
    place.proxy.plan(Plan((Fault.STALL,), lasting=True))
    with place.server() as (process, port):
        Load(port).run(clients=1)
        process.kill()
        process.wait()

    files = [path for path in (place.folder / "spool").rglob("*") if path.is_file()]
    kept = ids_in(b"".join(f.read_bytes().rpartition(b"\n")[:2]) for f in files)
    assert len(kept) > 1000
    place.proxy.plan(Plan())
    with place.server():
        wait_until(lambda: place.waiting == 0, seconds=15)

    assert sorted(place.ids()) == sorted(kept)


def test_the_end_is_soon_although_the_store_stalls(place: Place) -> None:
    place.proxy.plan(Plan((Fault.STALL,), lasting=True))
    with place.server() as (process, port):
        Load(port).run(clients=1)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0

    assert time.monotonic() - began < 10
    assert place.waiting > 0
