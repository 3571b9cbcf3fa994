"""A reload that is under way when the server is told to end."""

import contextlib
import os
import pathlib
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.inference.models import request
from tests.inference.server.test_process import INFER, ask, command, free_port, served, wait_ready
from tests.inference.server.test_workers import swap, until

PROFILE = b'{"version": 1, "columns": {}}'


class Held:
    """A reload that waits in the midst of its files until it is let on."""

    def __init__(self, folder: pathlib.Path, server: "subprocess.Popen[str]") -> None:
        self._path = folder / "profile.json"
        os.mkfifo(self._path)
        server.send_signal(signal.SIGHUP)
        [self._writing] = until(self._opened)

    def _opened(self) -> list[int]:
        with contextlib.suppress(OSError):  # nobody reads it yet
            return [os.open(self._path, os.O_WRONLY | os.O_NONBLOCK)]
        return []

    def let_on(self) -> None:
        os.write(self._writing, PROFILE)
        os.close(self._writing)


def test_the_end_waits_for_a_reload_and_serves_nobody_with_it(folder: pathlib.Path) -> None:
    with served(folder, "--drain_delay_s", "1") as (server, port):
        swap(folder, "v2", 100.0)
        (folder / "release.json").unlink()  # it knows of no profile
        reload = Held(folder, server)
        server.send_signal(signal.SIGTERM)
        until(lambda: ask(port, "/v2/health/ready")[0] == 503)
        reload.let_on()
        time.sleep(0.5)  # in which it is over
        status, answer = ask(port, INFER, request(delay=[0], carrier=[0]))
        ready, _ = ask(port, "/v2/health/ready")
        assert server.wait(10) == 0
        assert server.stderr is not None
        said = server.stderr.read()

    assert (status, answer["outputs"][0]["data"], ready) == (200, [0.5], 503)
    assert said.count("version 0, on") == 1
    assert said.endswith("server: drained\n")


def test_a_reload_outlasts_the_drain_and_is_waited_for(folder: pathlib.Path) -> None:
    with served(folder) as (server, _):
        reload = Held(folder, server)
        server.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            server.wait(0.7)
        reload.let_on()
        assert server.wait(10) == 0
        assert server.stderr is not None
        said = server.stderr.read()

    assert said.endswith("server: drained\n")


@contextlib.contextmanager
def hasty(folder: pathlib.Path) -> Iterator["subprocess.Popen[str]"]:
    """Serve with a second to end in."""
    port = free_port()
    given = command(folder, port)
    given[2] = "tests.inference.server.hasty"
    with subprocess.Popen(given, stderr=subprocess.PIPE, text=True) as server:
        try:
            wait_ready(port)
            yield server
        finally:
            server.kill()


def test_a_reload_that_hangs_does_not_hold_up_the_end(folder: pathlib.Path) -> None:
    with hasty(folder) as server:
        Held(folder, server)
        server.send_signal(signal.SIGTERM)
        assert server.wait(5) == 0
        assert server.stderr is not None
        said = server.stderr.read().splitlines()

    assert said[-2:] == ["server: drained", "server: a reload that did not end in time was cut off"]


def test_no_reload_begins_once_the_end_has(folder: pathlib.Path) -> None:
    with served(folder, "--drain_delay_s", "1") as (server, port):
        (folder / "model.onnx").write_bytes(b"broken")
        server.send_signal(signal.SIGTERM)
        until(lambda: ask(port, "/v2/health/ready")[0] == 503)
        server.send_signal(signal.SIGHUP)
        assert server.wait(10) == 0
        assert server.stderr is not None
        said = server.stderr.read()

    assert "the model stays as it was" not in said
