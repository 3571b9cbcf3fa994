"""Pipelines as Kubernetes objects, on a real API server that refuses fields it does not know."""

import copy
from typing import Any

import pytest

from pipelines import native
from pipelines.ir import Compiled
from tests.cluster import applied
from tests.cluster.ground import crds
from tests.cluster.ground.clients import Access
from tests.manifests.conftest import ROOT

GOLDENS = ROOT / "tests" / "golden" / "pipelines"
PIPELINES = [GOLDENS / "training-torch.yaml", GOLDENS / "collection.yaml"]  # largest, smallest


def objects(namespace: str) -> list[dict[str, Any]]:
    """What `falaj compile --kubernetes` writes of the example's largest and smallest pipeline."""
    return [
        thing
        for path in PIPELINES
        for thing in native.objects(Compiled.read(path), namespace=namespace)
    ]


def test_a_pipeline_is_taken_and_a_second_time_changes_nothing(
    ground: Access, namespace: str
) -> None:
    things = objects(namespace)

    assert applied.apply(ground, things) == ""
    assert applied.changed_by_applying(ground, things) == []


def test_another_version_stands_beside_the_first(ground: Access, namespace: str) -> None:
    one = Compiled.read(PIPELINES[1])
    other = Compiled(one.name, {**one.spec, "sdkVersion": "kfp-other"}, one.platforms, one.size)
    for compiled in (one, other):
        applied.apply(ground, list(native.objects(compiled, namespace=namespace)))

    kept = ground.kubectl("-n", namespace, "get", "pipelineversions,pipelines", "-o", "name").stdout
    assert sorted(line.partition("/")[2] for line in kept.split()) == sorted(
        [one.pipeline, native.version_name(one), native.version_name(other)]
    )


@pytest.mark.parametrize("kind", [0, 1], ids=["Pipeline", "PipelineVersion"])
def test_a_field_of_another_name_is_refused(kind: int, ground: Access, namespace: str) -> None:
    thing = copy.deepcopy(objects(namespace)[kind])
    thing["spec"]["displayNmae"] = "x"

    (said,) = applied.refused(ground, [thing])
    assert "displayNmae" in said


@pytest.mark.parametrize("name", ["Pipeline", "PipelineVersion"])
def test_a_clone_knows_as_many_fields_as_we_write(name: str) -> None:
    written = {key for one in objects("any") if one["kind"] == name for key in one["spec"]}
    (own,) = (one for one in crds._ours() if one["spec"]["names"]["kind"] == name)

    schema = own["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert written <= set(schema["properties"]["spec"]["properties"])
