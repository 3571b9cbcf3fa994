import inspect
import pathlib
from typing import Any

import pytest
from google.protobuf import json_format

from components.foundation.errors import UserError
from pipelines import compiled, place
from pipelines.place import Place
from pipelines.project import load

ROOT = pathlib.Path(__file__).parents[2]
PROJECT = load(ROOT / "examples/flights")


def executors(name: str) -> dict[str, Any]:
    """Kubernetes settings of every step of a pipeline built for a cluster."""
    pipeline = compiled.pipeline(name, PROJECT, Place.named("cluster"))
    spec = json_format.MessageToDict(pipeline.platform_spec)["platforms"]["kubernetes"]
    executors: dict[str, Any] = spec["deploymentSpec"]["executors"]
    return executors


def mounted(settings: dict[str, Any]) -> set[str]:
    return {volume["secretName"] for volume in settings.get("secretAsVolume", [])}


def configured(settings: dict[str, Any], *, optional: bool) -> set[str]:
    """What a step's environment takes from ConfigMaps that must be there, or need not be."""
    return {
        pair["envVar"]
        for source in settings["configMapAsEnv"]
        if source.get("optional", False) is optional
        for pair in source["keyToEnv"]
    }


@pytest.mark.parametrize("name", list(compiled.BUILDERS))
def test_the_signing_key_goes_to_steps_that_sign_and_no_others(name: str) -> None:
    signing = {step for step, s in executors(name).items() if place.SIGNING_SECRET in mounted(s)}

    assert {step.rstrip("-0123456789") for step in signing} <= {"exec-seal", "exec-register"}


@pytest.mark.parametrize("name", list(compiled.BUILDERS))
def test_the_online_store_is_told_to_who_fills_it_and_to_no_others(name: str) -> None:
    told = {
        step
        for step, settings in executors(name).items()
        for source in settings["secretAsEnv"]
        if source["secretName"] == place.ONLINE_SECRET and source["optional"]
    }

    assert told == ({"exec-materialise"} if name.startswith("training") else set())


def test_every_step_on_a_cluster_knows_the_site_and_is_nobody() -> None:
    for step, settings in executors("training-torch").items():
        assert configured(settings, optional=False) == set(place.SITE_NAMES), step
        assert settings["securityContext"]["runAsNonRoot"] is True, step


@pytest.mark.parametrize("name", list(compiled.BUILDERS))
def test_steps_with_a_key_ring_and_no_others_know_its_keepers(name: str) -> None:
    """A site without keepers names none, and its steps start all the same."""
    rings = {place.OPENING_SECRET, place.SIGNING_SECRET}
    for step, settings in executors(name).items():
        wanted = set(place.KEEPER_NAMES) if mounted(settings) & rings else set()
        assert configured(settings, optional=True) == wanted, step


@pytest.mark.parametrize("name", list(compiled.BUILDERS))
def test_a_laptop_is_given_no_kubernetes_settings(name: str) -> None:
    pipeline = compiled.pipeline(name, PROJECT, Place.named("laptop"))

    assert not pipeline.platform_spec.platforms


def test_an_unknown_site_is_named() -> None:
    with pytest.raises(UserError, match="no such file"):
        Place.named("moon")


def test_only_a_cluster_retries() -> None:
    """kfp.local sleeps between tries where no signal reaches it."""
    retried = {
        name: any(
            task.retry_policy.max_retry_count
            for task in compiled.pipeline(
                "collection", PROJECT, Place.named(name)
            ).pipeline_spec.root.dag.tasks.values()
        )
        for name in ("laptop", "cluster")
    }

    assert retried == {"laptop": False, "cluster": True}


def test_to_settle_a_step_nobody_reads_its_callers_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """It took 0.4 s a step where both frameworks are imported; kfp's own setters do it."""
    monkeypatch.delattr(inspect, "stack")

    assert compiled.pipeline("monitoring", PROJECT, Place.named("laptop")).pipeline_spec
