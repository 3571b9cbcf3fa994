"""`falaj status` and `falaj rollback`, against a plane whose pods run stand-ins."""

import json
import pathlib
from collections.abc import Iterator

import pytest

from components.deployment.deploy.launch import Launch, launch
from components.deployment.record import Phase, Record
from components.deployment.route import Route
from components.deployment.slots import Capacity
from components.foundation.kubernetes.client import Cluster
from components.foundation.kubernetes.resources import CONFIG_MAP
from components.foundation.sealing.uri import ReleaseUri
from inference.plane import launch as launching
from inference.plane.launch import Plane
from pipelines.__main__ import main
from tests.inference.plane.kube import STUBS

FIRST, BETTER = "aaaaaaaaaa00", "bbbbbbbbbb00"


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return tmp_path_factory.mktemp("laptop")


@pytest.fixture(scope="module")
def plane(state: pathlib.Path) -> Iterator[Plane]:
    with launching.running(state / "plane", {}, options=STUBS) as running:
        yield running


@pytest.fixture
def cluster(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setenv("KUBECONFIG", str(plane.kubeconfig))
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    return Cluster.connect(plane.environment())


def deployed(cluster: Cluster, model: str, version: str) -> None:
    how = Launch(Route(model, f"{model}.localhost", "falaj"), Capacity(), timeout_s=20)
    _, verdict = launch(cluster, ReleaseUri("falaj-models", model, version), how, tell=print)
    assert verdict.passes, verdict.reason


def test_status_says_what_serves_what_waits_and_who_has_traffic(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed(cluster, "one", FIRST)
    deployed(cluster, "one", BETTER)
    capsys.readouterr()

    assert main(["status", "one"]) == 0

    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "one: dark, traffic by twins",
        f"champion {FIRST} in slot a 100 % ready",
        f"candidate {BETTER} in slot b 0 % ready",
        "backend asked for auto: the API server has HTTPRoutes; its Gateway was not seen",
        f"good {FIRST}",
    ]


def test_a_record_that_somebody_broke_does_not_hide_other_models(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed(cluster, "whole", FIRST)
    deployed(cluster, "broken", FIRST)
    record = cluster.get(CONFIG_MAP, "broken-rollout")
    cluster.replace({**record, "data": {"state": "{"}})
    capsys.readouterr()

    assert main(["status"]) == 2

    said = capsys.readouterr()
    cluster.delete(CONFIG_MAP, "broken-rollout")
    assert "whole: stable" in said.out
    assert "ConfigMap broken-rollout: its data.state is no record of a rollout" in said.err


def test_status_for_machines_has_one_object_a_model(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed(cluster, "two", FIRST)
    deployed(cluster, "three", FIRST)
    capsys.readouterr()

    assert main(["status", "--json"]) == 0

    found = {one["model"]: one for one in map(json.loads, capsys.readouterr().out.splitlines())}
    assert {"two", "three"} <= found.keys()
    two = found["two"]
    assert (two["phase"], two["shares"], two["ready"]) == ("stable", {"a": 100}, {"a": "ready"})
    assert two["champion"]["capacity"] == {"minimum": 1, "maximum": 2}


def test_a_running_plane_is_found_without_kubeconfig(
    cluster: Cluster,
    state: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    deployed(cluster, "four", FIRST)
    monkeypatch.delenv("KUBECONFIG")

    assert main(["status", "four", f"--state={state}"]) == 0
    assert "four: stable" in capsys.readouterr().out


def test_a_model_that_was_never_deployed_is_a_user_error(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "never"]) == 2
    assert main(["rollback", "never"]) == 2
    assert capsys.readouterr().err.count("[never-deployed]") == 2


def test_rollback_moves_traffic_before_it_needs_a_store(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed(cluster, "five", FIRST)
    deployed(cluster, "five", BETTER)

    assert main(["rollback", "five", "--why", "because it errs"]) == 75

    said = capsys.readouterr().err
    state = Record.open(cluster, "five").state
    assert "rolled back because it errs" in said
    assert "[verdict-not-told]" in said
    assert (state.phase, state.champion and state.champion.slot) == (Phase.CLEARING, "a")


def test_rollback_to_what_was_never_champion_lists_what_was(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed(cluster, "six", FIRST)

    release = f"sealed+s3://falaj-models/six/{BETTER}"
    assert main(["rollback", "six", "--to", release]) == 2

    assert f"kept: sealed+s3://falaj-models/six/{FIRST};" in capsys.readouterr().err
