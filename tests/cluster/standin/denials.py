"""Refuse in one namespace what KServe's webhook refuses, in its words."""

import contextlib
import pathlib
from collections.abc import Iterator

import yaml

from tests.cluster.standin.api import Api, ClusterWide

_RULES = pathlib.Path(__file__).with_name("denials.yaml")
_GROUP = "admissionregistration.k8s.io/v1"
_POLICY = ClusterWide(_GROUP, "ValidatingAdmissionPolicy", "validatingadmissionpolicies")
_BINDING = ClusterWide(_GROUP, f"{_POLICY.kind}Binding", "validatingadmissionpolicybindings")


@contextlib.contextmanager
def told(api: Api) -> Iterator[None]:
    """Have the API server refuse until the block ends."""
    metadata = {"name": f"standin-{api.namespace}"}
    labels = {"kubernetes.io/metadata.name": api.namespace}
    spec = {
        "policyName": metadata["name"],
        "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": {"matchLabels": labels}},
    }
    binding = {"apiVersion": _GROUP, "kind": _BINDING.kind, "metadata": metadata, "spec": spec}
    api.post(_POLICY, {**yaml.safe_load(_RULES.read_text()), "metadata": metadata})
    api.post(_BINDING, binding)
    try:
        yield
    finally:
        for resource in (_BINDING, _POLICY):
            api.delete(resource, metadata["name"])
