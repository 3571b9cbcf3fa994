"""Which definitions of custom resources the API server has: real ones named by CRDS, or a clone's.

A clone takes them from Go modules of the projects themselves (tests/cluster/crds), derives
KServe's from its wheel, and writes the rest in a few lines: those keep whatever they are given.
Where CRDS names a folder, its definitions win; groups that are not in it come from the clone's.
"""

import json
import pathlib
import re
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

from tests.cluster.ground import build, derived
from tests.manifests.schemas import definitions

Definition = dict[str, Any]

MODULES = pathlib.Path(__file__).parents[1] / "crds"
_FOLDERS: Mapping[str, str] = {
    "github.com/cert-manager/cert-manager": "deploy/crds",
    "github.com/cilium/cilium": "pkg/k8s/apis/cilium.io/client/crds/v2",
    "github.com/kedacore/keda/v2": "config/crd/bases",
    "github.com/kubernetes-csi/external-snapshotter/client/v8": "config/crd",
    "github.com/kubeflow/trainer/v2": "manifests/base/crds",
    "github.com/prometheus-operator/prometheus-operator": "example/prometheus-operator-crd",
    "istio.io/api": "kubernetes",
    "knative.dev/serving": "config/core/300-resources",
    "sigs.k8s.io/gateway-api": "config/crd/standard",
    "sigs.k8s.io/kueue": "config/components/crd/bases",
}
# What the project applies, or grants rights to; a module brings three times as many.
_WANTED = {
    "cert-manager.io": {"Certificate", "ClusterIssuer", "Issuer"},
    "cilium.io": {"CiliumNetworkPolicy"},
    "gateway.networking.k8s.io": {"Gateway", "GatewayClass", "HTTPRoute", "ReferenceGrant"},
    "keda.sh": {"ScaledObject", "TriggerAuthentication"},
    "kueue.x-k8s.io": {
        "ClusterQueue", "Cohort", "LocalQueue", "ResourceFlavor", "Topology", "Workload",
        "WorkloadPriorityClass",
    },
    "monitoring.coreos.com": {
        "AlertmanagerConfig", "PodMonitor", "PrometheusRule", "ServiceMonitor",
    },
    "networking.istio.io": {"DestinationRule", "Gateway", "ServiceEntry", "Sidecar",
                            "VirtualService"},
    "security.istio.io": {"AuthorizationPolicy", "PeerAuthentication", "RequestAuthentication"},
    "serving.knative.dev": {"Configuration", "Revision", "Route", "Service"},
    "snapshot.storage.k8s.io": {"VolumeSnapshotClass"},
    "trainer.kubeflow.org": {"ClusterTrainingRuntime", "TrainJob", "TrainingRuntime"},
}  # fmt: skip
# Ours to name, not ours to know: kind, plural, version.
_OURS: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "argoproj.io": (
        ("Workflow", "workflows", "v1alpha1"),
        ("WorkflowTemplate", "workflowtemplates", "v1alpha1"),
        ("CronWorkflow", "cronworkflows", "v1alpha1"),
        ("WorkflowTaskResult", "workflowtaskresults", "v1alpha1"),
    ),
    "pipelines.kubeflow.org": (
        ("Pipeline", "pipelines", "v2beta1"),
        ("PipelineVersion", "pipelineversions", "v2beta1"),
    ),
    "kubeflow.org": (("Profile", "profiles", "v1"),),
    "sparkoperator.k8s.io": (("SparkApplication", "sparkapplications", "v1beta2"),),
}
_CLUSTER_WIDE = {"Profile"}
_ANYTHING = {"x-kubernetes-preserve-unknown-fields": True}
_TEXT = {"type": "string"}
_TEXTS = {"type": "object", "additionalProperties": _TEXT}
# What KFP says of its own two kinds: so much that a field of another name is refused.
_SAID: Mapping[str, Definition] = {
    "Pipeline": {"displayName": _TEXT, "description": _TEXT, "tags": _TEXTS},
    "PipelineVersion": {
        "displayName": _TEXT, "description": _TEXT, "tags": _TEXTS, "pipelineName": _TEXT,
        "versionName": _TEXT, "codeSourceURL": _TEXT, "pipelineSpecURI": _TEXT,
        "pipelineSpec": _ANYTHING, "platformSpec": _ANYTHING,
    },
}  # fmt: skip


def source(environment: Mapping[str, str]) -> str:
    """Say where definitions come from."""
    clone = "Go modules, the kserve wheel and our own lines"
    named = environment.get("CRDS")
    return f"{named}; of groups that are not there, {clone}" if named else clone


def chosen(environment: Mapping[str, str]) -> tuple[Definition, ...]:
    """Return the definitions to load."""
    named = environment.get("CRDS")
    real = tuple(definitions(pathlib.Path(named).rglob("*.yaml"))) if named else ()
    return (own(), *real, *_clone(frozenset(one["spec"]["group"] for one in real)))


def own() -> Definition:
    """Return the definition of the one kind that is ours."""
    [found] = definitions((build.ROOT / "manifests" / "definitions").glob("customresource*.yaml"))
    return found


def _clone(but: frozenset[str]) -> Iterator[Definition]:
    """Return what a clone has, but for some groups."""
    for module, folder in _downloaded().items():
        paths = (folder / _FOLDERS[module]).glob("*.yaml")
        found = definitions(path for path in paths if _groups(path) & (_WANTED.keys() - but))
        yield from (one for one in found if _is_wanted(one) and one["spec"]["group"] not in but)
    if derived.GROUP not in but:
        yield from derived.definitions()
    yield from (one for one in _ours() if one["spec"]["group"] not in but)


def _groups(path: pathlib.Path) -> set[str]:
    """Name the groups of a file's definitions without parsing it, which takes a while."""
    return set(re.findall(r"^  group: (\S+)$", path.read_text(), re.MULTILINE))


def _downloaded() -> Mapping[str, pathlib.Path]:
    """Fetch the modules, held to go.sum; return the folder of each."""
    done = subprocess.run(
        [build.go(), "mod", "download", "-json"],
        cwd=MODULES,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{MODULES}: {done.stderr or done.stdout}"
    decoder, text, found = json.JSONDecoder(), done.stdout.lstrip(), {}
    while text:
        module, end = decoder.raw_decode(text)
        found[module["Path"]] = pathlib.Path(module["Dir"])
        text = text[end:].lstrip()
    return {path: folder for path, folder in found.items() if path in _FOLDERS}


def _is_wanted(definition: Definition) -> bool:
    spec = definition["spec"]
    return spec["names"]["kind"] in _WANTED.get(spec["group"], set())


def _ours() -> Iterator[Definition]:
    for group, kinds in _OURS.items():
        for kind, plural, version in kinds:
            scope = "Cluster" if kind in _CLUSTER_WIDE else "Namespaced"
            yield derived.definition(
                group, kind, plural=plural, version=version, scope=scope, schema=_schema(kind)
            )


def _schema(kind: str) -> Definition:
    if kind not in _SAID:
        return {"type": "object", **_ANYTHING}
    spec = {"type": "object", "properties": _SAID[kind]}
    return {
        "type": "object",
        "properties": {"spec": spec, "status": {"type": "object", **_ANYTHING}},
    }
