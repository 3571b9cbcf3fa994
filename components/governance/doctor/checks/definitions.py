"""The kinds that we write: whether the API server has them, in our version, with our fields.

Asked of discovery and of OpenAPI, which everybody who is known may read.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from components.governance.doctor.interface import Answer, Installation, Question

Schema = Mapping[str, Any]

_SERVING, _ROUTING = "serving.kserve.io", "gateway.networking.k8s.io"
_KSERVE = "install KServe 0.21 or newer"
_PIPELINES = "install Kubeflow Pipelines 2.17"
_GATEWAY = "install the Gateway API's standard definitions, 1.0 or newer"
_KNATIVE = "install Knative Serving, or say serving: standard in the site file"
_OPERATOR = "install the Prometheus operator"
_TRAINER = "install Kubeflow Trainer 2.2 or newer"
_OURS = "run `kubectl apply --server-side -k manifests/definitions`"

EVERYWHERE = frozenset({"standard", "knative"})
STANDARD = frozenset({"standard"})
KNATIVE = frozenset({"knative"})
NOWHERE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind that is written.

    Attributes:
        needed: the modes of serving that cannot do without it.
        fields: what tells a release that is too old: it has no such fields.
    """

    version: str
    kind: str
    use: str
    install: str
    needed: frozenset[str] = EVERYWHERE
    fields: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return f"{self.kind} {self.version}"


KINDS = (
    Kind(
        f"{_SERVING}/v1beta1", "InferenceService", "deploy and roll_out", _KSERVE,
        fields=("spec.predictor.model.storageUri", "spec.predictor.model.runtime"),
    ),
    Kind(
        f"{_SERVING}/v1alpha1", "ClusterServingRuntime", "manifests/serving", _KSERVE,
        fields=("spec.supportedModelFormats",),
    ),
    Kind(
        f"{_SERVING}/v1alpha1", "ClusterStorageContainer", "the opener of sealed releases", _KSERVE,
        fields=("spec.supportedUriFormats",),
    ),
    Kind(f"{_ROUTING}/v1", "Gateway", "manifests/gateway", _GATEWAY, STANDARD),
    Kind(
        f"{_ROUTING}/v1", "HTTPRoute", "the split of a rollout", _GATEWAY, STANDARD,
        fields=("spec.rules.backendRefs.weight",),
    ),
    Kind("serving.knative.dev/v1", "Service", "KServe's Knative mode", _KNATIVE, KNATIVE),
    Kind("argoproj.io/v1alpha1", "Workflow", "runs of pipelines", _PIPELINES),
    Kind("argoproj.io/v1alpha1", "WorkflowTaskResult", "the results of steps", _PIPELINES),
    Kind(
        "pipelines.kubeflow.org/v2beta1", "PipelineVersion", "pipelines as objects", _PIPELINES,
        NOWHERE, fields=("spec.pipelineSpec",),
    ),
    Kind(
        "trainer.kubeflow.org/v1alpha1", "TrainJob", "training on several nodes", _TRAINER,
        NOWHERE, fields=("spec.runtimeRef.name", "spec.runtimePatches"),
    ),
    Kind("monitoring.coreos.com/v1", "PodMonitor", "the feature prometheus", _OPERATOR, NOWHERE),
    Kind(
        "admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy",
        "the policies on residency", "upgrade Kubernetes to 1.30 or newer",
    ),
    Kind(
        "falaj.example/v1", "ResidencyProfile", "the policies on residency", _OURS,
        fields=("spec.bases", "spec.networks"),
    ),
)  # fmt: skip
CANARY = Kind(
    f"{_SERVING}/v1beta1", "InferenceService", "rollouts by KServe's own canary", _KSERVE,
    NOWHERE, fields=("spec.canary",),
)  # fmt: skip


def questions(at: Installation) -> Iterator[Question]:
    for kind in KINDS:
        yield Question(kind.title, partial(_answer, kind=kind))
    yield Question("InferenceService spec.canary", partial(_answer, kind=CANARY))


def _answer(at: Installation, *, kind: Kind) -> Answer | None:
    lacking = Answer.missing if at.site.serving in kind.needed else Answer.warning
    use = f"{kind.title}, for {kind.use}"
    if kind.kind not in _served(at, kind.version):
        if kind is CANARY:
            return None
        return lacking(_instead(at, kind), expected=use, do=kind.install)
    if not kind.fields:
        return Answer.well("served")
    schema = _schema(at, kind)
    if schema is None:
        do = "look again in a minute: OpenAPI is told later than kinds"
        return Answer.unknown("served, but its fields are not told", do=do)
    absent = [field for field in kind.fields if not _has(schema, field)]
    if absent:
        return lacking(f"has no field {', '.join(absent)}", expected=use, do=kind.install)
    return Answer.well(f"served, with {', '.join(kind.fields)}")


def _served(at: Installation, version: str) -> set[str]:
    found = at.api.find(f"/apis/{version}")
    return {one["kind"] for one in (found or {}).get("resources", []) if "/" not in one["name"]}


def _instead(at: Installation, kind: Kind) -> str:
    """Say which versions of the group there are, if any."""
    group = kind.version.partition("/")[0]
    found = at.api.find(f"/apis/{group}")
    versions = [one["version"] for one in (found or {}).get("versions", [])]
    return f"not in {group} {', '.join(versions)}" if versions else f"no group {group}"


@dataclass(frozen=True, slots=True)
class _Schema:
    """A schema, and the document in which its references lead somewhere."""

    node: Schema
    document: Schema

    def resolved(self) -> Schema:
        """Follow references; OpenAPI wraps those that say more in `allOf`."""
        node = self.node
        while reference := node.get("$ref") or _only(node.get("allOf", [])):
            node = self.document["components"]["schemas"][str(reference).rpartition("/")[2]]
        return node


def _only(wrapped: list[Schema]) -> str:
    return str(wrapped[0].get("$ref", "")) if len(wrapped) == 1 else ""


def _schema(at: Installation, kind: Kind) -> _Schema | None:
    document = at.api.find(f"/openapi/v3/apis/{kind.version}") or {}
    group, _, version = kind.version.partition("/")
    wanted = {"group": group, "kind": kind.kind, "version": version}
    for schema in document.get("components", {}).get("schemas", {}).values():
        if wanted in schema.get("x-kubernetes-group-version-kind", []):
            return _Schema(schema, document)
    return None


def _has(schema: _Schema, path: str) -> bool:
    """Say whether an object may have a field; a part that keeps everything has it."""
    for name in path.split("."):
        node = schema.resolved()
        if "items" in node:
            node = _Schema(node["items"], schema.document).resolved()
        if node.get("x-kubernetes-preserve-unknown-fields") and "properties" not in node:
            return True
        if name not in node.get("properties", {}):
            return False
        schema = _Schema(node["properties"][name], schema.document)
    return True
