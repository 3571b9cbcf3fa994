"""A pipeline as Kubernetes objects: what kfp would write, under the name of its content."""

import pathlib
from typing import Any

import pytest
import yaml
from kfp import compiler
from kfp.compiler.compiler_utils import KubernetesManifestOptions

from pipelines import compiled, native
from pipelines.ir import Compiled
from pipelines.kubeflow import names
from pipelines.place import Place
from pipelines.project import load

ROOT = pathlib.Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "pipelines" / "collection.yaml"


def document(path: pathlib.Path) -> list[Any]:
    return list(yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader))


def changed(edit: dict[str, Any]) -> Compiled:
    one = Compiled.read(GOLDEN)
    return Compiled(one.name, {**one.spec, **edit}, one.platforms, one.size)


def test_the_objects_are_those_that_kfp_itself_would_write(tmp_path: pathlib.Path) -> None:
    built = compiled.pipeline("collection", load(ROOT / "examples/flights"), Place.named("cluster"))
    compiler.Compiler().compile(built, str(tmp_path / "ir.yaml"))
    pipeline, version = native.objects(Compiled.read(tmp_path / "ir.yaml"), namespace="falaj")
    options = KubernetesManifestOptions(
        pipeline_display_name=pipeline["spec"]["displayName"],
        pipeline_version_name=version["metadata"]["name"],
        namespace="falaj",
        include_pipeline_manifest=True,
    )
    compiler.Compiler().compile(
        built,
        str(tmp_path / "kfp.yaml"),
        kubernetes_manifest_format=True,
        kubernetes_manifest_options=options,
    )

    for ours, theirs in zip((pipeline, version), document(tmp_path / "kfp.yaml"), strict=True):
        more = {key: ours["metadata"].pop(key, None) for key in ("labels", "annotations")}
        assert more["labels"] == {"app.kubernetes.io/part-of": "falaj"}
        ours["spec"].pop("tags", None)
        assert ours["spec"].pop("description") == built.description
        theirs["spec"].pop("description", None)
        assert ours == theirs


def test_a_version_is_named_by_its_content() -> None:
    one = Compiled.read(GOLDEN)
    _, version = native.objects(one, namespace="falaj")

    assert version["metadata"]["name"] == f"flights-collection-{one.digest.short}"
    assert version["metadata"]["annotations"]["falaj.example/digest"] == str(one.digest)
    assert version["spec"]["pipelineName"] == "flights-collection"


def test_a_version_has_the_tag_by_which_an_upload_finds_it() -> None:
    one = Compiled.read(GOLDEN)
    _, version = native.objects(one, namespace="falaj")

    assert version["spec"]["tags"] == {names.CONTENT: names.tag(one.digest)}


def test_other_content_is_another_version_of_the_same_pipeline() -> None:
    names = [
        [thing["metadata"]["name"] for thing in native.objects(one, namespace="falaj")]
        for one in (Compiled.read(GOLDEN), changed({"sdkVersion": "kfp-other"}))
    ]

    assert names[0][0] == names[1][0]
    assert names[0][1] != names[1][1]


def test_the_digest_is_of_the_content_and_not_of_how_it_is_written(tmp_path: pathlib.Path) -> None:
    again = tmp_path / "other.yaml"
    again.write_text(yaml.safe_dump_all(document(GOLDEN), sort_keys=True, indent=4))

    assert Compiled.read(again).digest == Compiled.read(GOLDEN).digest


@pytest.mark.parametrize("part", ["spec", "platforms"])
def test_the_digest_is_of_both_parts(part: str, tmp_path: pathlib.Path) -> None:
    spec, platforms = document(GOLDEN)
    (spec if part == "spec" else platforms["platforms"])["more"] = {}
    (tmp_path / "more.yaml").write_text(yaml.safe_dump_all([spec, platforms]))

    assert Compiled.read(tmp_path / "more.yaml").digest != Compiled.read(GOLDEN).digest


def test_each_object_is_in_a_file_of_its_own(tmp_path: pathlib.Path) -> None:
    assert native.write([GOLDEN], tmp_path / "new", namespace="ns") == 2

    found = {path.name: document(path) for path in (tmp_path / "new").iterdir()}
    assert set(found) == {"pipeline-collection.yaml", "pipelineversion-collection.yaml"}
    for (thing,) in found.values():
        assert thing["metadata"]["namespace"] == "ns"


def test_writing_again_replaces_the_version_that_was_there(tmp_path: pathlib.Path) -> None:
    for _ in range(2):
        native.write([GOLDEN], tmp_path, namespace="ns")

    assert len(list(tmp_path.iterdir())) == 2


def test_objects_of_a_pipeline_that_is_gone_go_and_what_is_not_ours_stays(
    tmp_path: pathlib.Path,
) -> None:
    other = GOLDEN.with_name("deployment.yaml")
    native.write([GOLDEN, other], tmp_path, namespace="ns")
    (tmp_path / "kustomization.yaml").write_text("resources: []\n")

    native.write([other], tmp_path, namespace="ns")

    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "kustomization.yaml",
        "pipeline-deployment.yaml",
        "pipelineversion-deployment.yaml",
    ]
