"""Apply, get, list, replace and delete objects; every failure is one of our errors.

Plain REST paths rather than the dynamic client: no discovery calls, so a Role that names
only the objects it needs is enough, and kubernetes 30 to 36 behave alike.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from components.foundation.errors import FalajError, InfrastructureError, Refused, UserError
from components.foundation.kubernetes import resources
from components.foundation.kubernetes.resources import Resource
from components.foundation.storage import Conflict, NotFound

if TYPE_CHECKING:
    from kubernetes.client import ApiClient, ApiException

MANAGER = "falaj"
Manifest = dict[str, Any]
Query = list[tuple[str, str]]

_BY_US = [("fieldManager", MANAGER)]
_APPLY = "application/apply-patch+yaml"
_JSON = "application/json"
_TIMEOUT_S = (5, 30)  # to connect, to answer


@dataclass(frozen=True)
class Cluster:
    """One Kubernetes API and who we are there.

    Attributes:
        namespace: where the objects live that our steps write.
        domain: what the host names of its models end with.
    """

    api: "ApiClient"
    namespace: str = "default"
    domain: str = "localhost"

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
        from kubernetes import client, config

        namespace = namespace or environment.get("FALAJ_NAMESPACE", "default")
        domain = environment.get("FALAJ_DOMAIN", "localhost")
        path = environment.get("KUBECONFIG")
        try:
            if path:
                return cls(config.new_client_from_config(config_file=path), namespace, domain)
            settings = client.Configuration()
            config.load_incluster_config(settings)
        except config.ConfigException as error:
            raise UserError(
                f"Kubernetes: {error}; set KUBECONFIG to a file, or run in a pod with a "
                "service account",
                code="kubernetes-unconfigured",
            ) from error
        return cls(client.ApiClient(settings), namespace, domain)

    def host(self, model: str) -> str:
        """Return the host name that a model answers under by default."""
        return f"{model}.{self.namespace}.{self.domain}"

    def apply(self, manifest: Manifest, *, force: bool = False) -> Manifest:
        """Apply a whole object server-side; a field left out since the last time is removed.

        Raises:
            Conflict: another manager has changed a field of ours; it is named.
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
        return self._call("GET", resource, self.namespace, name)

    def look(self, path: str) -> Manifest:
        """Get what is at a path: what lies in no namespace, and which kinds there are."""
        return self._ask("GET", path, f"GET {path}", f"get and list on {path}")

    def find(self, resource: Resource, name: str) -> Manifest | None:
        """Get an object, or None when there is none."""
        try:
            return self.get(resource, name)
        except NotFound:
            return None

    def list(
        self, resource: Resource, *, labels: Mapping[str, str] | None = None
    ) -> "list[Manifest]":
        selector = ",".join(f"{key}={value}" for key, value in (labels or {}).items())
        query = [("labelSelector", selector)] if selector else []
        found = self._call("GET", resource, self.namespace, None, query=query)
        return list(found["items"])

    def delete(self, resource: Resource, name: str) -> None:
        """Delete an object; that it is gone already is no error."""
        with contextlib.suppress(NotFound):
            self._call("DELETE", resource, self.namespace, name)

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
        content: str = _JSON,
    ) -> Manifest:
        what = f"{verb} {resource.kind} {namespace}/{name or ''}".rstrip("/")
        needs = f"{_rights(verb)} on {resource.plural}.{resource.group}".rstrip(".")
        return self._ask(verb, resource.path(namespace, name), what, needs, body, query, content)

    def _ask(
        self,
        verb: str,
        path: str,
        what: str,
        needs: str,
        body: Manifest | None = None,
        query: Query | None = None,
        content: str = _JSON,
    ) -> Manifest:
        headers = {**self.api.default_headers, "Accept": _JSON, "Content-Type": content}
        with _translated(what, needs):
            # call_api has other parameters in every release; what lies beneath it stays.
            self.api.update_params_for_auth(headers, [], ["BearerToken"])
            answer = self.api.request(
                verb,
                f"{self.api.configuration.host}{path}",
                query_params=query or [],
                headers=headers,
                body=body,
                _request_timeout=_TIMEOUT_S,
            )
        found: Manifest = json.loads(answer.data)
        return found


@contextlib.contextmanager
def _translated(what: str, needs: str) -> Iterator[None]:
    """Turn what the client raises into our errors, with what to do."""
    import urllib3.exceptions
    from kubernetes.client import ApiException

    try:
        yield
    except ApiException as error:
        raise _from_status(what, needs, error) from error
    except urllib3.exceptions.HTTPError as error:
        raise InfrastructureError(
            f"{what}: the Kubernetes API did not answer ({type(error).__name__}); "
            "check that it runs and that KUBECONFIG names it, then run again",
            code="kubernetes-unreachable",
        ) from error


def _from_status(what: str, needs: str, error: "ApiException") -> FalajError:
    message = _message(error)
    match error.status:
        case 404:
            return NotFound(f"{what}: {message}", code="kubernetes-missing")
        case 409:
            return Conflict(
                f"{what}: {message}; read it again, or settle who owns the field",
                code="kubernetes-conflict",
            )
        case 401 | 403:
            return Refused(
                f"{what}: {message}; the identity needs a Role with {needs}",
                code="kubernetes-forbidden",
            )
        case 400 | 422:
            return UserError(f"{what}: {message}", code="kubernetes-invalid")
        case _:
            return InfrastructureError(
                f"{what}: the Kubernetes API failed ({error.status}): {message}",
                code="kubernetes-failed",
            )


def _message(error: "ApiException") -> str:
    try:
        return str(json.loads(error.body)["message"])
    except (KeyError, TypeError, ValueError):
        return " ".join(str(error.body or error.reason).split())[:300]


def _rights(verb: str) -> str:
    return {"PATCH": "patch and create", "PUT": "update", "POST": "create"}.get(verb, verb.lower())
