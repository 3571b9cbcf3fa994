"""Names that KFP compiles and the API server refuses."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from components.foundation import pods
from pipelines.ir import Compiled
from pipelines.linter.finding import Finding

_LOWER = "use lower-case letters, digits and '-', beginning and ending with no '-'"
_VARIABLE = "use letters, digits and '_', not beginning with a digit"
_LABEL = "use 63 letters, digits, '-', '_' and '.' at most, beginning and ending with none of those"
_KEY = "use a name, or a domain and a name such as example.com/team"
_OBJECTS = {"secretName", "configMapName", "pvcName", "serviceAccountName", "storageClassName"}

Check = tuple[str, str, Callable[[str], bool], str]


def kubernetes_name(compiled: Compiled) -> Iterator[Finding]:
    """Find names that the API server refuses, or that a pod would wait for without end."""
    checks = [*_of_pipeline(compiled), *_of_values(compiled), *_of_keys(compiled)]
    for path, text, good, do in dict.fromkeys(checks):
        if not good(text):
            what = f"{text!r} is not a legal name there"
            yield Finding("kubernetes-name", compiled.at(path), what, do)


def _of_pipeline(compiled: Compiled) -> Iterator[Check]:
    name = compiled.spec["pipelineInfo"].get("name", "")
    yield "pipelineInfo.name", name, pods.is_volume_name, _LOWER  # a DNS label, as volumes have


def _of_values(compiled: Compiled) -> Iterator[Check]:
    """Yield every text that names something, by where it stands."""
    for path, text in _texts(compiled.platforms):
        last = path.rpartition(".")[2]
        if last in _OBJECTS or path.endswith("NameParameter.runtimeValue.constant"):
            yield path, text, pods.is_object_name, _LOWER
        elif last == "volumeName":
            yield path, text, pods.is_volume_name, _LOWER
        elif last in {"envVar", "name"} and "Env" in path:
            yield path, text, pods.is_environment_name, _VARIABLE


def _of_keys(compiled: Compiled) -> Iterator[Check]:
    """Yield the keys of labels, annotations, tolerations and of nodes, and labels' values."""
    for step, settings in compiled.pods():
        metadata = settings.get("podMetadata", {})
        labels = {
            "podMetadata.labels": metadata.get("labels", {}),
            "nodeSelector.labels": settings.get("nodeSelector", {}).get("labels", {}),
        }
        for where, said in labels.items():
            for key, value in said.items():
                yield f"{step}.{where}", key, pods.is_key, _KEY
                yield f"{step}.{where}.{key}", value, pods.is_label_value, _LABEL
        for key in [*metadata.get("annotations", {}), *_of_nodes(settings)]:
            yield step, key, pods.is_key, _KEY


def _of_nodes(settings: Mapping[str, Any]) -> list[str]:
    """Return the keys of taints that a step bears, and of labels that it asks of its node."""
    terms = settings.get("nodeAffinity", [])
    asked = [one for term in terms for one in term.get("matchExpressions", [])]
    return [one["key"] for one in [*settings.get("tolerations", []), *asked] if "key" in one]


def _texts(value: Any, path: str = "platforms") -> Iterator[tuple[str, str]]:
    """Yield every text below a value with its path."""
    match value:
        case str():
            yield path, value
        case dict():
            for name, inner in value.items():
                yield from _texts(inner, f"{path}.{name}")
        case list():
            for inner in value:
                yield from _texts(inner, path)
