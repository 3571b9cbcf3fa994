"""The Kubernetes-native form of a pipeline: a Pipeline and a PipelineVersion.

A version's name ends in the digest of its content. KFP refuses to change a version, so what is
another pipeline is another version, and the same one applied again changes nothing.
"""

import pathlib
from collections.abc import Iterable
from typing import Any

import yaml

from pipelines.ir import Compiled
from pipelines.kubeflow import names

Thing = dict[str, Any]

_API = "pipelines.kubeflow.org/v2beta1"
_DIGEST = "falaj.example/digest"
_LABELS = {"app.kubernetes.io/part-of": "falaj"}


def write(files: Iterable[pathlib.Path], out: pathlib.Path, *, namespace: str) -> int:
    """Write OUT/*.yaml, an object a file, of compiled pipelines; return how many files.

    What was written before of a pipeline that is gone goes too: who applies the folder would bring
    it back.
    """
    out.mkdir(parents=True, exist_ok=True)
    for old in (*out.glob("pipeline-*.yaml"), *out.glob("pipelineversion-*.yaml")):
        old.unlink()
    written = 0
    for file in files:
        for thing in objects(Compiled.read(file), namespace=namespace):
            text = yaml.safe_dump(thing, sort_keys=False, allow_unicode=True)
            (out / f"{thing['kind'].lower()}-{file.stem}.yaml").write_text(text, encoding="utf-8")
            written += 1
    return written


def objects(compiled: Compiled, *, namespace: str) -> tuple[Thing, Thing]:
    """Return the two objects of a compiled pipeline."""
    info = compiled.spec["pipelineInfo"]
    said = {"displayName": info.get("displayName", compiled.pipeline)}
    if "description" in info:
        said["description"] = info["description"]
    version = version_name(compiled)
    content = {"pipelineName": compiled.pipeline, "pipelineSpec": dict(compiled.spec)}
    if compiled.platforms:
        content["platformSpec"] = {"platforms": dict(compiled.platforms)}
    digest = {_DIGEST: str(compiled.digest)}
    return (
        _object("Pipeline", _metadata(compiled.pipeline, namespace), said),
        _object(
            "PipelineVersion",
            {**_metadata(version, namespace), "annotations": digest},
            {**said, "displayName": version, "tags": _tags(compiled), **content},
        ),
    )


def version_name(compiled: Compiled) -> str:
    """Name a version by its pipeline and the digest of its content."""
    return f"{compiled.pipeline}-{compiled.digest.short}"


def _tags(compiled: Compiled) -> Thing:
    """Mark a version as `falaj upload` does, so that either finds what the other made."""
    return {names.CONTENT: names.tag(compiled.digest)}


def _metadata(name: str, namespace: str) -> Thing:
    return {"name": name, "namespace": namespace, "labels": dict(_LABELS)}


def _object(kind: str, metadata: Thing, spec: Thing) -> Thing:
    return {"apiVersion": _API, "kind": kind, "metadata": metadata, "spec": spec}
