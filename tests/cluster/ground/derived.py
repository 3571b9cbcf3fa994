"""Definitions of KServe's resources, derived from its Python wheel, for a clone that stands alone.

Every model of the `kserve` and `kubernetes` wheels says its fields and their types. The wheels
know neither enums nor defaults nor CEL rules, and name a few types that they do not define: those
keep whatever they are given.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tests.manifests.schemas import model, required

Schema = dict[str, Any]

GROUP = "serving.kserve.io"
_KINDS: Mapping[str, tuple[str, str, str]] = {
    "InferenceService": ("v1beta1", "Namespaced", "inferenceservices"),
    "ServingRuntime": ("v1alpha1", "Namespaced", "servingruntimes"),
    "ClusterServingRuntime": ("v1alpha1", "Cluster", "clusterservingruntimes"),
    "ClusterStorageContainer": ("v1alpha1", "Cluster", "clusterstoragecontainers"),
    "InferenceGraph": ("v1alpha1", "Namespaced", "inferencegraphs"),
}
_ANYTHING: Schema = {"x-kubernetes-preserve-unknown-fields": True}
_NUMBER_OR_TEXT: Schema = {"x-kubernetes-int-or-string": True}
_SCALARS: Mapping[str, Schema] = {
    "str": {"type": "string"},
    "datetime": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "object": _NUMBER_OR_TEXT,  # the wheel's word for a port, and for nothing else we meet
    "ResourceQuantity": _NUMBER_OR_TEXT,
    "intstr": _NUMBER_OR_TEXT,
    "V1ObjectMeta": {"type": "object"},
}
_QUANTITIES = {"limits", "requests"}  # typed as text in the wheel, numbers are legal too
_UNAPPROVED = {"api-approved.kubernetes.io": "unapproved, for tests"}  # asked of *.k8s.io groups
_BY_NAME = {"list[V1Container]", "list[V1EnvVar]", "list[V1Volume]"}  # merged item by item


def definitions() -> Iterator[dict[str, Any]]:
    """Return a CustomResourceDefinition for every kind of KServe that the tests apply."""
    for kind, (version, scope, plural) in _KINDS.items():
        schema = _top(model(f"V{version[1:]}{kind}"))
        yield definition(GROUP, kind, plural=plural, version=version, scope=scope, schema=schema)


def definition(
    group: str, kind: str, *, plural: str, version: str, scope: str, schema: Schema
) -> dict[str, Any]:
    """Wrap a schema as the definition of one kind, with a status of its own."""
    served = {"name": version, "served": True, "storage": True, "subresources": {"status": {}}}
    names = {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": f"{kind}List"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}", "annotations": _UNAPPROVED},
        "spec": {
            "group": group,
            "names": names,
            "scope": scope,
            "versions": [{**served, "schema": {"openAPIV3Schema": schema}}],
        },
    }


def _top(kind: Any) -> Schema:
    schema = _object(kind)
    status = schema["properties"].get("status")
    if status is None or "properties" not in status:
        schema["properties"]["status"] = {"type": "object", **_ANYTHING}
    return schema


def _object(kind: Any) -> Schema:
    fields = {
        kind.attribute_map[attribute]: _field(attribute, name)
        for attribute, name in kind.openapi_types.items()
    }
    schema: Schema = {"type": "object", "properties": fields}
    if demanded := sorted(kind.attribute_map[name] for name in required(kind)):
        schema["required"] = demanded
    return schema


def _field(attribute: str, name: str) -> Schema:
    if attribute in _QUANTITIES:
        return {"type": "object", "additionalProperties": _NUMBER_OR_TEXT}
    return _type(name)


def _type(name: str) -> Schema:
    if items := re.fullmatch(r"list\[(.*)\]", name):
        return {"type": "array", "items": _type(items[1]), **_merging(name)}
    if values := re.fullmatch(r"dict\(str, (.*)\)", name):
        return {"type": "object", "additionalProperties": _type(values[1])}
    if name in _SCALARS:
        return _SCALARS[name]
    found = model(name)
    return _object(found) if hasattr(found, "openapi_types") else _ANYTHING


def _merging(name: str) -> Schema:
    if name not in _BY_NAME:
        return {}
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
