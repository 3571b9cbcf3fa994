"""Schemas to hold Kubernetes objects against: derived from wheels, or from real CRD files.

The default set needs nothing but what the project depends on: every model of the `kserve` and
`kubernetes` wheels says its fields and their types. It knows neither enums nor CEL rules; the
real files do, and are used as well where the environment variable CRDS names a folder of them.
"""

import functools
import pathlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema
import kubernetes.client
import yaml

Schema = dict[str, Any]
GroupKind = tuple[str, str]

WHEELS = "the kserve and kubernetes wheels"
_ANYTHING: Schema = {}
_STRING: Schema = {"type": "string"}
_NUMBER_OR_STRING: Schema = {"type": ["integer", "number", "string"]}
_SCALARS: Mapping[str, Schema] = {
    "str": _STRING,
    "datetime": _STRING,
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "ResourceQuantity": _NUMBER_OR_STRING,
}
# What every object has, named in its definition or not.
_OF_ALL: Mapping[str, Schema] = {
    "apiVersion": {"type": "string"},
    "kind": {"type": "string"},
    "metadata": {"type": "object"},
}
_QUANTITIES = {"limits", "requests"}  # typed as text in the wheel, numbers are legal too
_FROM_WHEELS: Mapping[GroupKind, str] = {
    ("v1", "ConfigMap"): "V1ConfigMap",
    ("v1", "Namespace"): "V1Namespace",
    ("v1", "Service"): "V1Service",
    ("v1", "ServiceAccount"): "V1ServiceAccount",
    ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy"): "V1ValidatingAdmissionPolicy",
    (
        "admissionregistration.k8s.io/v1",
        "ValidatingAdmissionPolicyBinding",
    ): "V1ValidatingAdmissionPolicyBinding",
    ("apps/v1", "Deployment"): "V1Deployment",
    ("autoscaling/v2", "HorizontalPodAutoscaler"): "V2HorizontalPodAutoscaler",
    ("batch/v1", "CronJob"): "V1CronJob",
    ("batch/v1", "Job"): "V1Job",
    ("networking.k8s.io/v1", "NetworkPolicy"): "V1NetworkPolicy",
    ("policy/v1", "PodDisruptionBudget"): "V1PodDisruptionBudget",
    ("rbac.authorization.k8s.io/v1", "ClusterRole"): "V1ClusterRole",
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"): "V1ClusterRoleBinding",
    ("rbac.authorization.k8s.io/v1", "Role"): "V1Role",
    ("rbac.authorization.k8s.io/v1", "RoleBinding"): "V1RoleBinding",
    ("scheduling.k8s.io/v1", "PriorityClass"): "V1PriorityClass",
    ("serving.kserve.io/v1alpha1", "ClusterServingRuntime"): "V1alpha1ClusterServingRuntime",
    ("serving.kserve.io/v1alpha1", "ClusterStorageContainer"): "V1alpha1ClusterStorageContainer",
    ("serving.kserve.io/v1beta1", "InferenceService"): "V1beta1InferenceService",
    ("storage.k8s.io/v1", "StorageClass"): "V1StorageClass",
}


# mypy cannot follow a base class that getattr chooses.
class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The C parser where there is one: CRDs are megabytes."""


# A bare `=` is a legal enum value in CRDs, but YAML 1.1 gives it a type that nobody constructs.
_Loader.add_constructor("tag:yaml.org,2002:value", _Loader.construct_yaml_str)


@dataclass(frozen=True)
class Schemas:
    """One set of schemas, by apiVersion and kind, and where it came from."""

    source: str
    by_kind: Mapping[GroupKind, Schema]

    def knows(self, thing: Mapping[str, Any]) -> bool:
        """Say whether there is a schema for an object."""
        return (thing["apiVersion"], thing["kind"]) in self.by_kind

    def errors(self, thing: Mapping[str, Any]) -> list[str]:
        """Say everything that is wrong with an object; a kind without a schema is wrong too."""
        schema = self.by_kind.get((thing["apiVersion"], thing["kind"]))
        if schema is None:
            return [f"no schema for {thing['apiVersion']} {thing['kind']} in {self.source}"]
        found = jsonschema.Draft202012Validator(schema).iter_errors(thing)
        return [f"{error.json_path}: {error.message}" for error in found]


@functools.cache
def derived() -> Schemas:
    """Derive the set that a clone has: the two wheels, and our own lines for gateways."""
    walker = _Walker({})
    roots = {kind: walker.reference(name) for kind, name in _FROM_WHEELS.items()}
    wheels = {kind: {**root, "$defs": walker.types} for kind, root in roots.items()}
    return Schemas(WHEELS, {**wheels, **_gateways()})


def real(folder: pathlib.Path) -> Schemas:
    """Read every CRD below a folder; core kinds are the wheels' in this set as well."""
    read = definitions(folder.rglob("*.yaml"))
    custom = {kind: schema for crd in read for kind, schema in _versions(crd["spec"])}
    core = {kind: s for kind, s in derived().by_kind.items() if _is_core(kind)}
    return Schemas(f"the CRDs in {folder}", {**core, **custom})


@dataclass
class _Walker:
    """Turns the wheels' `openapi_types` into schemas, each type once."""

    types: dict[str, Schema]

    def reference(self, name: str) -> Schema:
        found = model(name)
        if not hasattr(found, "openapi_types"):
            return _ANYTHING  # named by the wheel but not defined in it
        if name not in self.types:
            self.types[name] = {}
            self.types[name] = self._object(found)
        return {"$ref": f"#/$defs/{name}"}

    def _object(self, model: Any) -> Schema:
        fields = {
            model.attribute_map[attribute]: (
                {"type": "object", "additionalProperties": _NUMBER_OR_STRING}
                if attribute in _QUANTITIES
                else self._type(name)
            )
            for attribute, name in model.openapi_types.items()
        }
        return {
            "type": "object",
            "properties": fields,
            "required": [model.attribute_map[name] for name in required(model)],
            "additionalProperties": False,
        }

    def _type(self, name: str) -> Schema:
        if items := re.fullmatch(r"list\[(.*)\]", name):
            return {"type": "array", "items": self._type(items[1])}
        if values := re.fullmatch(r"dict\(str, (.*)\)", name):
            return {"type": "object", "additionalProperties": self._type(values[1])}
        if name in _SCALARS:
            return _SCALARS[name]
        return self.reference(name)


def model(name: str) -> Any:
    """Return a type of one of the wheels, or None; KServe's takes seconds to import."""
    import kserve.models

    return getattr(kserve.models, name, None) or getattr(kubernetes.client, name, None)


def required(model: Any) -> Iterator[str]:
    """Find the fields that a model will not take None for."""
    blank = model.__new__(model)
    blank.local_vars_configuration = kubernetes.client.Configuration()
    for name in model.openapi_types:
        try:
            setattr(blank, name, None)
        except ValueError:
            yield name


def _gateways() -> dict[GroupKind, Schema]:
    """Our own few lines for Gateway API: the fields that we write, strictly, and no others."""
    name: Schema = {"type": "string", "pattern": r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"}
    port: Schema = {"type": "integer", "minimum": 1, "maximum": 65535}
    parent = _record(required=["name"], group=_STRING, kind=_STRING, name=name, namespace=name,
                     sectionName=name, port=port)  # fmt: skip
    backend = _record(required=["name", "port"], group=_STRING, kind=_STRING, name=name,
                      namespace=name, port=port, filters=_list(_ANYTHING),
                      weight={"type": "integer", "minimum": 0, "maximum": 1_000_000})  # fmt: skip
    rule = _record(name=name, matches=_list({"type": "object"}), filters=_list({"type": "object"}),
                   backendRefs=_list(backend), timeouts={"type": "object"})  # fmt: skip
    route = _record(parentRefs=_list(parent), hostnames=_list(_STRING), rules=_list(rule))
    listener = _record(required=["name", "port", "protocol"], name=name, port=port,
                       protocol={"enum": ["HTTP", "HTTPS", "TLS", "TCP", "UDP"]},
                       hostname=_STRING, tls=_ANYTHING, allowedRoutes=_ANYTHING)  # fmt: skip
    gateway = _record(required=["gatewayClassName", "listeners"], gatewayClassName=name,
                      listeners={**_list(listener), "minItems": 1})  # fmt: skip
    version = "gateway.networking.k8s.io/v1"
    return {(version, "HTTPRoute"): _whole(route), (version, "Gateway"): _whole(gateway)}


def _whole(spec: Schema) -> Schema:
    return _record(
        required=["apiVersion", "kind", "metadata", "spec"],
        apiVersion=_STRING,
        kind=_STRING,
        metadata={"type": "object", "required": ["name"]},
        spec=spec,
        status=_ANYTHING,
    )


def _record(*, required: list[str] | None = None, **fields: Schema) -> Schema:
    return {
        "type": "object",
        "properties": fields,
        "required": required or [],
        "additionalProperties": False,
    }


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def definitions(paths: Iterable[pathlib.Path]) -> Iterator[dict[str, Any]]:
    """Read every CustomResourceDefinition in some files."""
    for path in sorted(paths):
        for thing in yaml.load_all(path.read_text(), Loader=_Loader):
            if thing and thing.get("kind") == "CustomResourceDefinition":
                yield thing


def _versions(spec: Mapping[str, Any]) -> Iterator[tuple[GroupKind, Schema]]:
    for version in spec["versions"]:
        if schema := version.get("schema", {}).get("openAPIV3Schema"):
            key = (f"{spec['group']}/{version['name']}", spec["names"]["kind"])
            yield (
                key,
                _strict({**schema, "properties": {**_OF_ALL, **schema.get("properties", {})}}),
            )


def _strict(schema: Any) -> Any:
    """Refuse unknown fields where the API server would drop them or, server-side, refuse."""
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return _NUMBER_OR_STRING
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return _ANYTHING
    strict = {key: _strict_part(key, part) for key, part in schema.items() if key != "format"}
    if "properties" in schema and "additionalProperties" not in schema:
        strict["additionalProperties"] = False
    return strict


def _strict_part(key: str, part: Any) -> Any:
    match key:
        case "properties":
            return {name: _strict(field) for name, field in part.items()}
        case "items" | "additionalProperties" | "not":
            return _strict(part)
        case _:
            return part  # anyOf and its like only narrow; they may not forbid the other fields


def _is_core(kind: GroupKind) -> bool:
    """Tell a kind of Kubernetes itself from one that a CRD defines."""
    return kind in _FROM_WHEELS and not kind[0].startswith("serving.kserve.io/")
