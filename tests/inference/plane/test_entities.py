"""Entity ids in, predictions out: deploy's own manifests, the real programs, Feast's SQLite."""

import datetime
import json
import math
import os
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

import httpx
import onnx
import pytest
from onnx import TensorProto, helper

from components.deployment.deploy.component import deploy
from components.features.apply_features.apply import apply
from components.features.materialise.load import load
from components.features.repository import Repository
from components.foundation import trained_with
from components.foundation.sealing import release
from components.foundation.sealing.keys import KeyRing
from components.foundation.sealing.release import Release
from components.foundation.storage import ObjectStore, Settings
from inference.plane import launch
from inference.plane.launch import Plane
from tests.components.features.conftest import NOON, Small, no_network, small

__all__ = ["no_network", "small"]

pytestmark = pytest.mark.slow  # imports Feast, thrice


class Site(NamedTuple):
    """A plane whose pods know an online store, and a release trained with its features."""

    plane: Plane
    environment: dict[str, str]
    release: Release


@pytest.fixture
def site(small: Small, s3: Settings, tmp_path: pathlib.Path) -> Iterator[Site]:
    online = {"FALAJ_ONLINE_STORE": str(tmp_path / "online.db"), "FEAST_USAGE": "False"}
    pods = {**s3.environment(), **online, "FALAJ_KEYS": str(tmp_path / "keys")}
    keys = KeyRing.create(tmp_path / "keys")
    registry = filled(small, {**os.environ, **pods}, tmp_path / "cache")
    facts = trained_with.said("lateness", registry)
    sealed = release.seal(
        written(tmp_path / "model"),
        model=small.package,
        facts=facts,
        store=ObjectStore(s3),
        keys=keys,
    )
    with launch.running(tmp_path / "plane", {**pods, "PYTHONPATH": str(tmp_path)}) as plane:
        yield Site(plane, {**pods, **plane.environment()}, sealed)


def filled(small: Small, environment: dict[str, str], cache: pathlib.Path) -> str:
    """Put the weather of two places online; return the registry's reference."""
    now = (datetime.datetime.now(datetime.UTC) - NOON) / datetime.timedelta(hours=1)
    small.observe(("EWR", now - 1, now - 1, 2.0), ("JFK", now - 1, now - 1, -1.0))
    repository = Repository.load(small.package, environment, cache=cache)
    registry = apply(repository).registry
    moment = datetime.datetime.now(datetime.UTC)
    loaded = load(repository, registry, small.tables, end=moment, pinned=[])
    assert loaded.verdict.passes, loaded.verdict
    return str(registry)


def written(folder: pathlib.Path) -> pathlib.Path:
    """Write a model that answers sigmoid(temp + distance)."""
    signature = {
        "inputs": [{"name": n, "datatype": "FP64", "shape": [-1]} for n in ("temp", "distance")],
        "outputs": [{"name": "risk", "datatype": "FP64", "shape": [-1]}],
    }
    nodes = [
        helper.make_node("Add", ["temp", "distance"], ["sum"]),
        helper.make_node("Sigmoid", ["sum"], ["risk"]),
    ]
    names = ("temp", "distance", "risk")
    temp, distance, risk = (
        helper.make_tensor_value_info(name, TensorProto.DOUBLE, ["rows"]) for name in names
    )
    graph = helper.make_graph(nodes, "m", [temp, distance], [risk])
    opsets = [helper.make_opsetid("", 17)]
    folder.mkdir()
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), folder / "model.onnx")
    (folder / "signature.json").write_text(json.dumps(signature))
    (folder / "model.json").write_text(json.dumps({"framework": "none"}))
    return folder


def test_a_client_sends_entity_ids_and_gets_predictions(
    site: Site, small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in site.environment.items():
        monkeypatch.setenv(name, value)
    model = small.package
    origins = {"name": "origin", "datatype": "BYTES", "shape": [2], "data": ["JFK", "EWR"]}
    distances = {"name": "distance", "datatype": "FP64", "shape": [2], "data": [0.5, 1.0]}

    _, _, verdict, decision = deploy.python_func(
        model_name=model, release=site.release.uri, feature_repository=model
    )
    answer = httpx.post(
        f"{site.plane.gateway}/v2/models/{model}/infer",
        headers={"host": f"{model}.default.localhost"},
        json={"inputs": [origins, distances]},
    )

    assert decision == "accept", verdict
    assert answer.json()["model_version"] == site.release.version
    [risk] = answer.json()["outputs"]
    assert risk["data"] == pytest.approx([1 / (1 + math.exp(0.5)), 1 / (1 + math.exp(-3))])
