import contextlib
import dataclasses
import json
import pathlib
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest

from components.foundation.errors import FalajError, InfrastructureError, UserError
from components.foundation.storage import Address, ObjectStore
from pipelines.laptop import processes, seaweedfs
from pipelines.laptop.seaweedfs import Ports

THING = Address("things", "thing")
FIVE = Ports(10240, 10241, 10242, 10243, 10244)


@contextlib.contextmanager
def taken(port: int) -> Iterator[None]:
    with socket.create_server(("127.0.0.1", port)):
        yield


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> range:
    """Seven ports in a row, with their gRPC ports free as well."""
    seven = next(
        range(start, start + 7)
        for start in range(10_240, 20_000)
        if all(seaweedfs._is_free(port) for port in range(start, start + 7))
    )
    monkeypatch.setattr(seaweedfs, "_PORTS", seven)
    return seven


def test_data_and_credentials_outlive_the_server(tmp_path: pathlib.Path) -> None:
    with seaweedfs.running(tmp_path, buckets=["things"]) as first:
        ObjectStore(first).put(THING, b"kept")
    with seaweedfs.running(tmp_path, buckets=["things"]) as second:
        assert ObjectStore(second).get(THING) == b"kept"

    assert dataclasses.replace(second, endpoint=first.endpoint) == first


def test_nothing_stays_when_it_stops(tmp_path: pathlib.Path) -> None:
    before = set(pathlib.Path("/tmp").glob("seaweedfs-*.sock"))  # noqa: S108 - where it puts them
    with seaweedfs.running(tmp_path, buckets=["things"]) as settings:
        assert len(processes.marked(tmp_path)) == 1
        port = int(settings.endpoint.rpartition(":")[2])

    after = set(pathlib.Path("/tmp").glob("seaweedfs-*.sock"))  # noqa: S108 - as above
    assert processes.marked(tmp_path) == []
    assert not [path for path in after - before if str(port) in path.name]
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        pass


def test_a_connection_without_a_request_holds_no_stop_up_and_nothing_is_lost(
    tmp_path: pathlib.Path,
) -> None:
    with contextlib.ExitStack() as held:
        with seaweedfs.running(tmp_path, buckets=["things"]) as first:
            ObjectStore(first).put(THING, b"kept")
            volume = Ports(**json.loads((tmp_path / "ports.json").read_text())).volume
            held.enter_context(socket.create_connection(("127.0.0.1", volume)))
            began = time.monotonic()

        assert time.monotonic() - began < 10

    with seaweedfs.running(tmp_path, buckets=["things"]) as second:
        assert ObjectStore(second).get(THING) == b"kept"


def test_a_wrong_password_is_refused(tmp_path: pathlib.Path) -> None:
    with seaweedfs.running(tmp_path, buckets=["things"]) as settings:
        stranger = ObjectStore(dataclasses.replace(settings, secret_key="guessed"))

        with pytest.raises(FalajError, match=r"AWS_|secret|signature|denied"):
            stranger.get(THING)


def test_our_own_cloud_credentials_are_kept_from_it(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-the-cloud")
    with seaweedfs.running(tmp_path, buckets=["things"]) as settings:
        (pid,) = processes.marked(tmp_path)

        assert b"of-the-cloud" not in pathlib.Path(f"/proc/{pid}/environ").read_bytes()
        assert settings.access_key != "of-the-cloud"


def test_reports_nothing_to_anybody() -> None:
    assert "-master.telemetry=false" in seaweedfs.command(FIVE)


def test_listens_on_the_loopback_alone(tmp_path: pathlib.Path) -> None:
    with seaweedfs.running(tmp_path, buckets=["things"]):
        (pid,) = processes.marked(tmp_path)

        assert listening(pid) == {"0100007F"}


def listening(pid: int) -> set[str]:
    """Return the addresses that a process listens on, as /proc/net/tcp writes them."""
    sockets = {link.readlink().name for link in pathlib.Path(f"/proc/{pid}/fd").iterdir()}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in pathlib.Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            if state == "0A" and f"socket:[{inode}]" in sockets:
                found.add(local.partition(":")[0])
    return found


def test_a_folder_in_use_is_refused(tmp_path: pathlib.Path) -> None:
    with (
        seaweedfs.running(tmp_path, buckets=["things"]),
        pytest.raises(UserError, match=f"{tmp_path}: another run is using it; wait for it or"),
        seaweedfs.running(tmp_path, buckets=["things"]),
    ):
        pass


def test_what_a_killed_run_left_is_ended(tmp_path: pathlib.Path) -> None:
    with subprocess.Popen(["/bin/sleep", "600"], env=processes.mark(tmp_path)) as left:
        try:
            with seaweedfs.running(tmp_path, buckets=["things"]):
                assert left.poll() is not None
        finally:
            left.kill()


def test_ports_are_taken_from_what_is_free(few: range) -> None:
    with taken(few[2]), taken(few[4] + 10_000):
        found = dataclasses.astuple(Ports.free())

    assert sorted(found) == [few[i] for i in (0, 1, 3, 5, 6)]


def test_without_five_free_ports_says_so(few: range) -> None:
    with (
        taken(few[0]),
        taken(few[1]),
        taken(few[2]),
        pytest.raises(InfrastructureError, match=f"no 5 free ports from {few[0]} to {few[-1]}"),
    ):
        Ports.free()


def test_a_port_that_was_taken_meanwhile_costs_another_try(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = Ports.free()
    with socket.create_server(("127.0.0.1", 0)) as other:
        bad = dataclasses.replace(Ports.free(), master=other.getsockname()[1])
        choices = iter([bad, good])
        monkeypatch.setattr(Ports, "free", lambda: next(choices))

        with seaweedfs.running(tmp_path, buckets=["things"]) as settings:
            assert settings.endpoint == f"http://127.0.0.1:{good.s3}"


def test_a_server_that_always_ends_is_given_up_with_its_log(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seaweedfs, "command", lambda ports: ["/bin/false"])

    with (
        pytest.raises(InfrastructureError, match=f"ended 3 times; its log: {tmp_path}/log"),
        seaweedfs.running(tmp_path, buckets=["things"]),
    ):
        pass


def test_what_a_killed_server_left_in_tmp_is_removed_by_the_next(tmp_path: pathlib.Path) -> None:
    ports = Ports.free()
    left = pathlib.Path(f"/tmp/seaweedfs-left-{ports.filer}.sock")  # noqa: S108 - where it puts them
    left.touch()
    (tmp_path / "ports.json").write_text(json.dumps(dataclasses.asdict(ports)))

    with seaweedfs.running(tmp_path, buckets=["falaj-raw"]):
        assert not left.exists()
        used = Ports(**json.loads((tmp_path / "ports.json").read_text()))

    assert used != ports
