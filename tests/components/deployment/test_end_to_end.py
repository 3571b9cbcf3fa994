"""The faces of deployment with real sealed models, the real initializer and server."""

import contextlib
import json
import pathlib
import random
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest
from kfp import dsl

from components.deployment.deploy.component import deploy
from components.deployment.roll_out.component import roll_out
from components.foundation.kubernetes.client import Cluster
from components.foundation.sealing.keys import KeyRing
from components.foundation.sealing.release import Release
from components.foundation.storage import ObjectStore, Settings
from inference.plane import launch
from tests.components.deployment import sealed
from tests.components.deployment.test_rollout import weights


class Site(NamedTuple):
    """A laptop's serving: its environment, gateway and model."""

    environment: dict[str, str]
    gateway: str
    folder: pathlib.Path
    store: ObjectStore
    keys: KeyRing
    model: str

    def seal(self, name: str, **how: Any) -> Release:
        folder = self.folder / name
        return sealed.seal(folder, self.model, store=self.store, keys=self.keys, **how)

    @property
    def cluster(self) -> Cluster:
        return Cluster.connect(self.environment)


@pytest.fixture(scope="module")
def site(s3: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    keys = KeyRing.create(folder / "keys")
    pods = {**s3.environment(), "FALAJ_KEYS": str(folder / "keys")}
    with launch.running(folder / "plane", pods) as plane:
        environment = {**pods, **plane.environment()}
        yield Site(environment, plane.gateway, folder, ObjectStore(s3), keys, folder.name)


@pytest.fixture
def seen_by_steps(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in site.environment.items():
        monkeypatch.setenv(name, value)


@contextlib.contextmanager
def traffic(site: Site) -> Iterator[list[tuple[int, str]]]:
    """Ask about random hours until the block ends; collect statuses and versions."""
    done, answers = threading.Event(), []
    host = f"{site.model}.default.localhost"

    def send() -> None:
        with httpx.Client(base_url=site.gateway, headers={"host": host}) as client:
            while not done.is_set():
                reply = client.post(f"/v2/models/{site.model}/infer", json=question())
                answers.append((reply.status_code, reply.json().get("model_version", "")))

    threads = [threading.Thread(target=send) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        done.set()
        for thread in threads:
            thread.join()


def question() -> dict[str, Any]:
    hour = random.randrange(24)  # noqa: S311 - traffic
    return {
        "inputs": [
            {"name": "distance", "datatype": "FP32", "shape": [1], "data": [1.5]},
            {"name": "hour", "datatype": "INT64", "shape": [1], "data": [hour]},
        ]
    }


class Deployed(NamedTuple):
    slot: str
    release: str
    verdict: dict[str, Any]
    decision: str


class Judged(NamedTuple):
    verdict: dict[str, Any]
    decision: str
    history: list[dict[str, Any]]


def deployed(site: Site, release: Release) -> Deployed:
    return Deployed(*deploy.python_func(model_name=site.model, release=release.uri))


def rolled_out(site: Site, folder: pathlib.Path) -> Judged:
    history = dsl.Artifact(uri=str(folder / "out" / "history.json"))
    report = dsl.HTML(uri=str(folder / "out" / "report.html"))
    verdict, decision = roll_out.python_func(
        model_name=site.model,
        report=report,
        history=history,
        steps=[20, 50],
        min_requests=80,
        interval_s=0.3,
        max_seconds=60.0,
        bake_s=0.5,
    )
    assert "<svg" in pathlib.Path(report.path).read_text()
    assert report.metadata["decision"] == decision
    return Judged(verdict, decision, json.loads(pathlib.Path(history.path).read_text()))


@pytest.fixture(scope="module")
def champion(site: Site) -> Release:
    return site.seal("first", slope=1.0)


@pytest.fixture(autouse=True)
def champion_serves(site: Site, champion: Release, seen_by_steps: None) -> None:
    assert deployed(site, champion)[::3] == ("a", "accept")


def test_one_altered_byte_keeps_a_release_from_starting_and_the_champion_serves_on(
    site: Site, champion: Release
) -> None:
    tampered = site.seal("tampered", slope=4.0)
    one = tampered.location.address / "files" / "model.onnx"
    altered = bytearray(site.store.get(one))
    altered[100] ^= 1
    site.store.put(one, bytes(altered))

    with traffic(site) as answers:
        refused = deployed(site, tampered)

    assert refused.decision == "refuse"
    assert "model.onnx" in refused.verdict["reason"]
    assert set(answers) == {(200, champion.version)}


def test_a_release_that_fails_one_request_in_eight_is_rolled_back(
    site: Site, tmp_path: pathlib.Path
) -> None:
    faulty = deployed(site, site.seal("faulty", slope=3.0, hours=21))
    assert (faulty.slot, faulty.decision) == ("b", "accept")

    with traffic(site) as answers:
        judged = rolled_out(site, tmp_path)
        decided = len(answers)

    assert judged.decision == "roll back", judged.verdict
    assert judged.history[-1]["e_value"] >= 20
    assert {status for status, _ in answers[decided + 2 :]} <= {200}


def test_a_healthy_release_is_promoted_without_one_failed_request(
    site: Site, tmp_path: pathlib.Path
) -> None:
    better = site.seal("better", slope=2.0)
    deployed(site, better)

    with traffic(site) as answers:
        judged = rolled_out(site, tmp_path)

    assert judged.decision == "promote", judged.verdict
    assert {status for status, _ in answers} == {200}
    assert answers[-1] == (200, better.version)
    assert weights(site.cluster, site.model) == {f"{site.model}-b": 100}
    assert deployed(site, better)[::3] == ("b", "accept")
