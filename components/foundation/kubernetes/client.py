"""Apply, get, list, watch, replace and delete objects; every failure is one of our errors.

Plain REST paths rather than the dynamic client: docs/decisions/0021 says why.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from components.foundation.errors import UserError
from components.foundation.kubernetes import calling, resources
from components.foundation.kubernetes.calling import JSON, Call, Query
from components.foundation.kubernetes.resources import Resource
from components.foundation.kubernetes.retries import Retries
from components.foundation.kubernetes.watching import Change, Collection, Watch
from components.foundation.storage import NotFound

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

MANAGER = "falaj"
Manifest = calling.Manifest

_BY_US = [("fieldManager", MANAGER)]
_APPLY = "application/apply-patch+yaml"


@dataclass(frozen=True)
class Cluster:
    """One Kubernetes API and who we are there.

    Attributes:
        namespace: where the objects live that our steps write.
        domain: what the host names of its models end with.
        retries: how patiently it is asked.
    """

    api: "ApiClient"
    namespace: str = "default"
    domain: str = "localhost"
    retries: Retries = field(default_factory=Retries, repr=False)

    @classmethod
    def connect(cls, environment: Mapping[str, str], *, namespace: str = "") -> "Cluster":
        """Connect by the file that KUBECONFIG names, else as the pod we run in.

        Args:
            environment: KUBECONFIG, FALAJ_DOMAIN, and FALAJ_NAMESPACE for when no namespace is
                given.
            namespace: where our objects live.

        Raises:
            UserError: neither is there, or the file cannot be read.
        """
        import yaml
        from kubernetes import client, config

        namespace = namespace or environment.get("FALAJ_NAMESPACE", "default")
        domain = environment.get("FALAJ_DOMAIN", "localhost")
        path = environment.get("KUBECONFIG")
        settings = client.Configuration()
        try:
            if path:
                config.load_kube_config(
                    config_file=path, client_configuration=settings, persist_config=False
                )
            else:
                config.load_incluster_config(settings)
        except (config.ConfigException, yaml.YAMLError, TypeError, ValueError, OSError) as error:
            raise UserError(
                f"{path or 'Kubernetes'}: {' '.join(str(error).split())}; set KUBECONFIG to a file "
                "that kubectl takes, or run in a pod with a service account",
                code="kubernetes-unconfigured",
            ) from error
        return cls(client.ApiClient(settings), namespace, domain)

    def host(self, model: str) -> str:
        """Return the host name that a model answers under by default."""
        return f"{model}.{self.namespace}.{self.domain}"

    def apply(self, manifest: Manifest, *, force: bool = False) -> Manifest:
        """Apply a whole object server-side; a field left out since the last time is removed.

        Raises:
            Owned: a Conflict; another manager has changed a field of ours, both are named.
        """
        query = [("fieldManager", MANAGER), ("force", str(force).lower())]
        resource = resources.of(manifest)
        namespace, name = self._names(manifest)
        return self._call("PATCH", resource, namespace, name, manifest, query, content=_APPLY)

    def create(self, manifest: Manifest) -> Manifest:
        """Create an object that must not exist yet, else raise Conflict."""
        resource = resources.of(manifest)
        namespace, _ = self._names(manifest)
        return self._call("POST", resource, namespace, None, manifest, _BY_US)

    def replace(self, manifest: Manifest) -> Manifest:
        """Replace an object only if it still has the manifest's resourceVersion.

        Of several writers that have read the same object, one wins. For objects that nobody
        applies: an apply over what was replaced conflicts with it.

        Raises:
            Conflict: somebody has changed it meanwhile; get it again and decide again.
        """
        namespace, name = self._names(manifest)
        if not manifest["metadata"].get("resourceVersion"):
            raise UserError(
                f"replace {manifest['kind']} {name}: no resourceVersion; take the one that get "
                "returned",
                code="kubernetes-no-version",
            )
        return self._call("PUT", resources.of(manifest), namespace, name, manifest, _BY_US)

    def get(self, resource: Resource, name: str) -> Manifest:
        """Get an object; raises NotFound when there is none."""
        return self._call("GET", resource, self.namespace, name)

    def look(self, path: str) -> Manifest:
        """Get what is at a path: what lies in no namespace, and which kinds there are."""
        return self._ask(Call("GET", path, f"GET {path}", f"get and list on {path}"))

    def find(self, resource: Resource, name: str) -> Manifest | None:
        """Get an object, or None when there is none."""
        try:
            return self.get(resource, name)
        except NotFound:
            return None

    def list(
        self, resource: Resource, *, labels: Mapping[str, str] | None = None
    ) -> "list[Manifest]":
        """List the objects of a kind, all or those with the labels."""
        return list(Collection(self, resource, _selecting(labels)).listed()["items"])

    def watch(
        self,
        resource: Resource,
        *,
        labels: Mapping[str, str] | None = None,
        name: str = "",
        seconds: float,
    ) -> Iterator[Change]:
        """Yield what is there as added, then every change once, until the time is up.

        Args:
            resource: what kind.
            labels: only what has them.
            name: only the object of this name.
            seconds: how long.
        """
        query = [*_selecting(labels), *([("fieldSelector", f"metadata.name={name}")] * bool(name))]
        return Watch(Collection(self, resource, query)).changes(seconds=seconds)

    def delete(self, resource: Resource, name: str, *, seen: Manifest | None = None) -> None:
        """Delete an object; that it is gone already is no error.

        Args:
            resource: of what kind.
            name: which.
            seen: what get returned: if it has changed since, or is another of that name, it
                stays, and Conflict is raised.
        """
        with contextlib.suppress(NotFound):
            self._call("DELETE", resource, self.namespace, name, _preconditions(seen))

    def _names(self, manifest: Manifest) -> tuple[str, str]:
        metadata = manifest["metadata"]
        return metadata.get("namespace", self.namespace), metadata["name"]

    def _call(
        self,
        verb: str,
        resource: Resource,
        namespace: str,
        name: str | None,
        body: Manifest | None = None,
        query: Query | None = None,
        content: str = JSON,
    ) -> Manifest:
        more: dict[str, Any] = {"body": body, "query": query or [], "content": content}
        return self._ask(Call.on(verb, resource, namespace, name, **more))

    def _ask(self, call: Call) -> Manifest:
        return calling.ask(self.api, call, self.retries)


def _selecting(labels: Mapping[str, str] | None) -> Query:
    selector = ",".join(f"{key}={value}" for key, value in (labels or {}).items())
    return [("labelSelector", selector)] if selector else []


def _preconditions(seen: Manifest | None) -> Manifest | None:
    if seen is None:
        return None
    kept = {name: seen["metadata"][name] for name in ("uid", "resourceVersion")}
    return {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": kept}
