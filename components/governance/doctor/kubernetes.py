"""Ask a real Kubernetes API, as the identity that KUBECONFIG names."""

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any

from components.deployment.traffic.probing import Found, probe
from components.foundation.kubernetes import calling
from components.foundation.kubernetes.calling import Call
from components.foundation.kubernetes.client import Cluster
from components.foundation.storage import NotFound
from components.governance.doctor.interface import Right, Thing

_REVIEWS = "/apis/authorization.k8s.io/v1"
_WHO = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
_METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


@dataclass(frozen=True)
class Kubernetes:
    """Reads one cluster; what is at a path is asked once."""

    cluster: Cluster

    def find(self, path: str) -> Thing | None:
        if path not in self._seen:
            self._seen[path] = self._got(Call("GET", path, f"GET {path}", f"get on {path}"))
        return self._seen[path]

    def heading(self, path: str) -> Thing | None:
        """Ask for metadata alone: what a Secret holds does not leave the API server."""
        what = f"GET the metadata of {path}"
        return self._got(Call("GET", path, what, f"get on {path}", accept=_METADATA))

    def may(self, right: Right, *, account: str = "") -> bool:
        """Post a review, which the API server answers and does not keep."""
        kind = "SubjectAccessReview" if account else "SelfSubjectAccessReview"
        wanted = {**dataclasses.asdict(right), "namespace": self.cluster.namespace}
        spec = {"resourceAttributes": wanted, **(self._as(account) if account else {})}
        found = self._review(f"{_REVIEWS}/{kind.lower()}s", f"{_REVIEWS[6:]}", kind, spec)
        return bool(found["status"]["allowed"])

    def identity(self) -> str:
        version = "authentication.k8s.io/v1"
        found = self._review(_WHO, version, "SelfSubjectReview", {})
        return str(found["status"]["userInfo"]["username"])

    def traffic(self, gateway: str) -> Found:
        if gateway not in self._found:
            self._found[gateway] = probe(self.cluster, gateway)
        return self._found[gateway]

    @functools.cached_property
    def _found(self) -> dict[str, Found]:
        return {}

    @functools.cached_property
    def _seen(self) -> dict[str, Thing | None]:
        return {}

    def _as(self, account: str) -> dict[str, Any]:
        """Name a service account and its groups, as a token of it would."""
        namespace = self.cluster.namespace
        everyone = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}"]
        return {
            "user": f"system:serviceaccount:{namespace}:{account}",
            "groups": [*everyone, "system:authenticated"],
        }

    def _review(self, path: str, version: str, kind: str, spec: dict[str, Any]) -> Thing:
        body = {"apiVersion": version, "kind": kind, "spec": spec}
        return self._ask(Call("POST", path, f"POST {kind}", f"create on {path}", body=body))

    def _got(self, call: Call) -> Thing | None:
        try:
            return self._ask(call)
        except NotFound:
            return None

    def _ask(self, call: Call) -> Thing:
        return calling.ask(self.cluster.api, call, self.cluster.retries)
