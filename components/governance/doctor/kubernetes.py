"""Ask a real Kubernetes API, as the identity that KUBECONFIG names."""

import functools
import re
from collections.abc import Callable, Hashable
from dataclasses import asdict, dataclass
from typing import Any, TypeVar, cast

from components.deployment.traffic.probing import Found, probe
from components.foundation.errors import Refused
from components.foundation.kubernetes import calling
from components.foundation.kubernetes.calling import Call
from components.foundation.kubernetes.client import Cluster
from components.foundation.storage import NotFound
from components.governance.doctor.interface import Right, Thing

T = TypeVar("T")

_METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_OBJECT = re.compile(r"/(?:api|apis/([^/]+))/[^/]+/(?:namespaces/[^/]+/)?([^/]+)(/[^/]+)?")


@dataclass(frozen=True)
class Kubernetes:
    """Reads one cluster, and asks everything once."""

    cluster: Cluster

    def find(self, path: str) -> Thing | None:
        return self._once(path, lambda: self._got(path))

    def heading(self, path: str) -> Thing | None:
        """Ask for metadata alone: what a Secret holds does not leave the API server."""
        return self._got(path, accept=_METADATA)

    def may(self, right: Right, *, account: str = "") -> bool:
        kind = "SubjectAccessReview" if account else "SelfSubjectAccessReview"
        wanted = {**asdict(right), "namespace": self.cluster.namespace}
        spec = {"resourceAttributes": wanted, **(self._as(account) if account else {})}
        ask = functools.partial(self._review, "authorization.k8s.io/v1", kind, spec)
        return bool(self._once((right, account), ask)["allowed"])

    def identity(self) -> str:
        found = self._review("authentication.k8s.io/v1", "SelfSubjectReview", {})
        return str(found["userInfo"]["username"])

    def traffic(self, gateway: str) -> Found:
        return self._once(("traffic", gateway), lambda: probe(self.cluster, gateway))

    def _once(self, what: Hashable, ask: Callable[[], T]) -> T:
        if what not in self._known:
            self._known[what] = ask()
        return cast(T, self._known[what])

    @functools.cached_property
    def _known(self) -> dict[Hashable, Any]:
        return {}

    def _as(self, account: str) -> dict[str, Any]:
        """Name a service account and its groups, as a token of it would."""
        namespace = self.cluster.namespace
        everyone = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}"]
        return {
            "user": f"system:serviceaccount:{namespace}:{account}",
            "groups": [*everyone, "system:authenticated"],
        }

    def _review(self, version: str, kind: str, spec: dict[str, Any]) -> Thing:
        """Post a review, which the API server answers and does not keep."""
        path = f"/apis/{version}/{kind.lower()}s"
        body = {"apiVersion": version, "kind": kind, "spec": spec}
        needs = f"create on {_kind(path)}"
        status: Thing = self._ask(Call("POST", path, f"POST {kind}", needs, body))["status"]
        return status

    def _got(self, path: str, **more: Any) -> Thing | None:
        found = _OBJECT.fullmatch(path)
        verb = "list" if found and not found[3] else "get"
        needs = f"{verb} on {_kind(path)}"
        try:
            return self._ask(Call("GET", path, f"GET {path}", needs, **more))
        except NotFound:
            return None

    def _ask(self, call: Call) -> Thing:
        """Ask; what may not be done with a kind is told in the same words of all its objects."""
        try:
            return calling.ask(self.cluster.api, call, self.cluster.retries)
        except Refused as error:
            if error.code == "kubernetes-forbidden" and _OBJECT.fullmatch(call.path):
                lacks = call.needs.replace(" on ", " ")
                raise Refused(f"this identity may not {lacks}", code=error.code) from error
            raise


def _kind(path: str) -> str:
    """Name what lies at a path as a Role does; what is no object is its path there too."""
    found = _OBJECT.fullmatch(path)
    return f"{found[2]}.{found[1] or ''}".rstrip(".") if found else path
