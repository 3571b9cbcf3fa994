"""Deployments and rollouts while the object store is away and does not come back.

Pods and steps reach it by a proxy each, so that one of the two can be cut off alone. What has
to hold: the champion keeps its traffic, the step ends soon with 75 and a sentence that names
the store, nothing is promoted; and once the store is back, the same call goes on.
"""

import dataclasses
import pathlib
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import httpx
import pytest
from kfp import dsl

from components.deployment.deploy.component import deploy
from components.deployment.record import Phase, Record
from components.deployment.roll_out.component import roll_out
from components.foundation.sealing import channel
from components.foundation.sealing.keys import KeyRing
from components.foundation.sealing.release import Release
from components.foundation.storage import ObjectStore, Settings
from inference.plane import launch
from tests.components.deployment import sealed
from tests.components.deployment.test_end_to_end import Site, question, traffic
from tests.components.deployment.test_rollout import weights
from tests.faults import proxy
from tests.faults.proxy import Fault, Plan, Proxy

LASTING = (Fault.REFUSED, Fault.ERROR, Fault.SLOW_DOWN, Fault.STALL, Fault.CUT_ANSWER)
SECONDS = 0.4  # of patience with the store; a minute where it is not a test
BOUND = 30.0  # against the 300 s that a deployment waits for pods
# Two are spared, so that a proxy that refuses the others still listens for them.
ONLY_AUDIT = ("/falaj-evidence/lineage/", "/falaj-models/")
pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]


class Faulty(NamedTuple):
    """A site whose pods and steps have a proxy each before the store."""

    site: Site
    pods: Proxy
    steps: Proxy
    champion: Release
    candidate: Release

    @property
    def weights(self) -> dict[str, int]:
        """What share each slot of the model has; none is left out."""
        return {name: w for name, w in weights(self.site.cluster, self.site.model).items() if w}

    def answered(self) -> set[str]:
        """Ask the endpoint a few times; return the versions that answered."""
        host = {"host": f"{self.site.model}.default.localhost"}
        url = f"{self.site.gateway}/v2/models/{self.site.model}/infer"
        replies = [httpx.post(url, headers=host, json=question()) for _ in range(5)]
        return {reply.json()["model_version"] for reply in replies}

    def serves_the_champion(self) -> bool:
        state = Record.open(self.site.cluster, self.site.model).state
        pointer = channel.current(self.site.model, store=self.site.store, keys=self.site.keys)
        return (
            pointer is not None
            and pointer.uri == self.champion.uri
            and state.champion is not None
            and str(state.champion.release) == self.champion.uri
            and self.weights == {f"{self.site.model}-{state.champion.slot}": 100}
            and self.answered() == {self.champion.version}
        )


@pytest.fixture(scope="module")
def faulty(s3: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    folder = tmp_path_factory.mktemp("faulty")
    keys, store = KeyRing.create(folder / "keys"), ObjectStore(s3)
    model = folder.name
    with proxy.before(s3.endpoint) as pods, proxy.before(s3.endpoint) as steps:
        pods_see = _seen(s3, pods, folder)
        with launch.running(folder / "plane", pods_see) as plane:
            environment = {**_seen(s3, steps, folder), **plane.environment()}
            site = Site(environment, plane.gateway, folder, store, keys, model)
            champion, candidate = (
                sealed.seal(folder / name, model, slope=slope, store=store, keys=keys)
                for name, slope in (("champion", 1.0), ("candidate", 2.0))
            )
            channel.move(model, champion.uri, store=store, keys=keys, reason="the first")
            yield Faulty(site, pods, steps, champion, candidate)


def _seen(s3: Settings, through: Proxy, folder: pathlib.Path) -> dict[str, str]:
    settings = dataclasses.replace(s3, endpoint=through.endpoint, seconds=SECONDS)
    return {**settings.environment(), "FALAJ_KEYS": str(folder / "keys")}


@pytest.fixture(autouse=True)
def the_champion_serves(faulty: Faulty, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Begin and end with a store that is there."""
    for name, value in faulty.site.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FALAJ_RUN_ID", "test")
    assert deployed(faulty, faulty.champion) == "accept"
    yield
    faulty.pods.plan(Plan())
    faulty.steps.plan(Plan())


def deployed(faulty: Faulty, release: Release) -> str:
    outputs = deploy.python_func(model_name=faulty.site.model, release=release.uri)
    return str(outputs[3])


def rolled_out(faulty: Faulty, folder: pathlib.Path) -> dict[str, Any]:
    outputs = roll_out.python_func(
        model_name=faulty.site.model,
        report=dsl.HTML(uri=str(folder / "report.html")),
        history=dsl.Artifact(uri=str(folder / "history.json")),
        steps=[20, 50],
        error_margin=0.3,
        min_requests=20,
        interval_s=0.2,
        bake_s=0.4,
    )
    return dict(outputs[0])


def ends(call: Callable[[], object], capsys: pytest.CaptureFixture[str]) -> str:
    """Call what has to end soon with 75; return the sentence it ended with."""
    capsys.readouterr()
    began = time.monotonic()
    with pytest.raises(SystemExit) as ended:
        call()
    assert ended.value.code == 75
    assert time.monotonic() - began < BOUND
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


@pytest.mark.parametrize("fault", LASTING)
def test_a_deployment_whose_pods_cannot_reach_the_store_says_so_and_goes_on_later(
    faulty: Faulty, fault: Fault, capsys: pytest.CaptureFixture[str]
) -> None:
    release = faulty.site.seal(f"late {fault}", slope=3.0 + LASTING.index(fault))
    faulty.pods.plan(Plan((fault,), lasting=True))

    said = ends(lambda: deployed(faulty, release), capsys)

    assert said.startswith(f"deploy: release {release.version} in slot b: could not be fetched")
    assert f"s3://falaj-models/{faulty.site.model}" in said
    assert "object store" in said
    assert faulty.serves_the_champion()
    faulty.pods.plan(Plan())
    assert deployed(faulty, release) == "accept"
    assert faulty.serves_the_champion()


@pytest.mark.parametrize("spare", [(), ONLY_AUDIT], ids=["from the start", "at its verdict"])
@pytest.mark.parametrize("fault", LASTING)
def test_a_deployment_that_cannot_reach_the_store_itself_gives_nobody_traffic(
    faulty: Faulty, fault: Fault, spare: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    faulty.steps.plan(Plan((fault,), lasting=True, spare=spare))

    said = ends(lambda: deployed(faulty, faulty.candidate), capsys)

    assert "object store" in said
    assert faulty.serves_the_champion()


@pytest.mark.parametrize("fault", LASTING)
def test_a_rollout_that_can_tell_nobody_ends_with_all_traffic_at_the_champion(
    faulty: Faulty, fault: Fault, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deployed(faulty, faulty.candidate) == "accept"
    faulty.steps.plan(Plan((fault,), lasting=True, spare=ONLY_AUDIT))

    with traffic(faulty.site) as answers:
        said = ends(lambda: rolled_out(faulty, tmp_path), capsys)

    assert "object store" in said
    assert faulty.candidate.version in {version for _, version in answers}
    assert {status for status, _ in answers} == {200}
    assert Record.open(faulty.site.cluster, faulty.site.model).state.phase is Phase.CANARY
    assert faulty.serves_the_champion()


def test_a_rollout_without_a_store_from_the_start_splits_no_traffic(
    faulty: Faulty, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert deployed(faulty, faulty.candidate) == "accept"
    faulty.steps.plan(Plan((Fault.SLOW_DOWN,), lasting=True))

    assert "object store" in ends(lambda: rolled_out(faulty, tmp_path), capsys)
    assert faulty.serves_the_champion()


def test_the_rollout_goes_on_once_the_store_is_back(faulty: Faulty, tmp_path: pathlib.Path) -> None:
    assert deployed(faulty, faulty.candidate) == "accept"

    with traffic(faulty.site) as answers:
        verdict = rolled_out(faulty, tmp_path)

    assert verdict["decision"] == "promote"
    assert {status for status, _ in answers} == {200}
    assert faulty.answered() == {faulty.candidate.version}
