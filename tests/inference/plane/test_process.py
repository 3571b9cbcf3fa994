"""The plane as a process: it takes its children with it, and remembers its objects."""

import contextlib
import os
import pathlib
import signal

import pytest

from components.foundation.errors import InfrastructureError
from components.foundation.kubernetes import resources
from components.foundation.kubernetes.client import Cluster
from inference.plane import launch
from inference.plane.launch import Plane
from tests.inference.plane.kube import STUBS, condition, serving, until


def pods_of(folder: pathlib.Path) -> list[str]:
    lines = []
    for file in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            lines.append(file.read_text().replace("\0", " "))
    return [line for line in lines if f"{folder}/pods" in line]


def started(plane: Plane) -> Cluster:
    cluster = Cluster.connect(plane.environment())
    serving(cluster, "child", "sealed+s3://m/m/1")
    return cluster


def test_no_orphans_after_sigkill(tmp_path: pathlib.Path) -> None:
    with launch.running(tmp_path, {}, options=STUBS) as plane:
        started(plane)
        assert pods_of(tmp_path)

        os.kill(plane.pid, signal.SIGKILL)

        until(lambda: not pods_of(tmp_path), seconds=3)


def test_sigterm_stops_everything_and_removes_model_files(tmp_path: pathlib.Path) -> None:
    with launch.running(tmp_path, {}, options=STUBS) as plane:
        started(plane)
        assert list(tmp_path.glob("pods/default/*/model"))

    assert not pods_of(tmp_path)
    assert not list(tmp_path.glob("pods/default/*/model"))


def test_it_ends_when_whoever_started_it_is_gone(tmp_path: pathlib.Path) -> None:
    process = launch._start(tmp_path, {}, STUBS)
    launch._ports(process, tmp_path)

    assert process.stdin
    process.stdin.close()

    assert process.wait(10) == 0


def test_objects_outlive_a_restart_and_pods_start_again(tmp_path: pathlib.Path) -> None:
    with launch.running(tmp_path, {}, options=STUBS) as plane:
        before = started(plane).get(resources.INFERENCE_SERVICE, "child")["metadata"]

    with launch.running(tmp_path, {}, options=STUBS) as plane:
        cluster = Cluster.connect(plane.environment())
        until(lambda: condition(cluster, "child") == "True")
        after = cluster.get(resources.INFERENCE_SERVICE, "child")["metadata"]

    assert after["uid"] == before["uid"]
    assert after["managedFields"] == before["managedFields"]


def test_a_second_plane_over_one_folder_is_refused(tmp_path: pathlib.Path) -> None:
    with (
        launch.running(tmp_path, {}, options=STUBS),
        pytest.raises(InfrastructureError, match="log"),
        launch.running(tmp_path, {}, options=STUBS),
    ):
        pass

    assert "another plane uses it" in (tmp_path / "log").read_text()
