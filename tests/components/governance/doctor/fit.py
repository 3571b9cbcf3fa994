"""An installation that lacks nothing: the overlay `health`, and what others bring."""

import copy
import functools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import yaml

from components.deployment.traffic.probing import Found
from components.foundation.errors import FalajError, InfrastructureError
from components.foundation.site import Site
from components.governance.doctor import examining
from components.governance.doctor.checks import definitions, secrets
from components.governance.doctor.interface import Finding, Installation, Right
from components.governance.doctor.web import Page
from tests.manifests.conftest import built

Thing = dict[str, Any]

HOME = "falaj"
PATIENT = examining.Patience(one_s=120, all_s=600)  # for machines that do much beside
CONFIG = "inferenceservice-config"
METRICS, PIPELINES = "https://prometheus.falaj.example", "https://kubeflow.falaj.example"
DIGEST = f"sha256:{'ab' * 32}"
SITE = """
name: a-hospital
kind: cluster
object_store: {endpoint: https://s3.falaj.example, provider: on-premises, region: ae-abudhabi}
pipeline_root: s3://falaj-runs/pipelines
kubernetes: in-cluster
namespace: NAMESPACE
metrics: METRICS
pipelines: {api: PIPELINES, service_account: falaj-runner}
keys: /var/run/falaj/keys
features: {repository: examples/flights/features, online_store: redis://redis.falaj.svc:6379}
residency: {profile: health}
"""


def site(namespace: str = HOME) -> Site:
    values = {"NAMESPACE": namespace, "METRICS": METRICS, "PIPELINES": PIPELINES}
    return Site.parse(functools.reduce(lambda text, one: text.replace(*one), values.items(), SITE))


def quiet(site: Site) -> Site:
    """Return a site of whose pages none is to be reached from here."""
    inside = "http://prometheus-operated.monitoring.svc:9090"
    return site.model_copy(update={"metrics": inside, "pipelines": None})


def things(namespace: str = HOME) -> list[Thing]:
    """Return what an administrator has applied: the overlay with images, and its Secrets."""
    return [*_overlay(namespace), *_secrets(namespace), *_of_others(namespace)]


@functools.cache
def _text(namespace: str) -> str:
    text = built("kustomize/overlays/health").replace(f"sha256:{64 * '0'}", DIGEST)
    text = re.sub(r"((?:namespace|FALAJ_NAMESPACE): )falaj\n", rf"\g<1>{namespace}\n", text)
    return text.replace("http://prometheus-operated.monitoring.svc:9090", METRICS)


@functools.cache
def _parsed(namespace: str) -> str:
    """Return the overlay's objects as JSON, which is read anew in no time."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return json.dumps(list(yaml.load_all(_text(namespace), Loader=loader)))


def _overlay(namespace: str) -> list[Thing]:
    found: list[Thing] = json.loads(_parsed(namespace))
    for one in found:
        if one["kind"] == "Namespace":
            one["metadata"]["name"] = namespace
    return found


def _secrets(namespace: str) -> list[Thing]:
    names = {**secrets.NEEDED, **secrets.WANTED}
    made = [_core("Secret", name, namespace, {}) for name in names]
    return [*made, _core("ConfigMap", secrets.POLICY, namespace, {"policy.yaml": "format: 1"})]


def _of_others(namespace: str) -> list[Thing]:
    settings = {
        "deploy": '{"defaultDeploymentMode": "Standard"}',
        "ingress": f'{{"enableGatewayApi": true, "kserveIngressGateway": "{namespace}/falaj"}}',
    }
    controller = {"controllerName": "istio.io/gateway-controller"}
    return [
        _core("ConfigMap", CONFIG, "kserve", settings),
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "GatewayClass",
            "metadata": {"name": "istio"},
            "spec": controller,
        },
    ]


def _core(kind: str, name: str, namespace: str, data: Mapping[str, str]) -> Thing:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, "data": dict(data)}


ACCEPTED: Thing = {
    "conditions": [{"type": kind, "status": "True"} for kind in ("Accepted", "Programmed")],
    "addresses": [{"type": "IPAddress", "value": "192.0.2.7"}],
}


def path(thing: Thing) -> str:
    """Return where an API server would have an object."""
    version, metadata = thing["apiVersion"], thing["metadata"]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    plural = _plural(thing["kind"])
    where = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
    return f"{root}{where}/{plural}/{metadata['name']}"


def _plural(kind: str) -> str:
    lower = kind.lower()
    if lower.endswith("cy"):
        return f"{lower[:-1]}ies"
    return f"{lower}es" if lower.endswith("s") else f"{lower}s"


SPLITS = Found(
    kserve=True,
    routes=True,
    gateway="",
    knative=True,
    autoscaler=True,
    mode="Standard",
    gateway_api=True,
)


@dataclass
class Plain:
    """An API of plain dicts: what is at each path, or what is raised; and what nobody may."""

    at: dict[str, Any] = field(default_factory=dict)
    denied: set[tuple[str, str]] = field(default_factory=set)  # account, right
    found: Found = SPLITS
    unseen: FalajError | None = None
    who: str | FalajError = "amal"

    def find(self, path: str) -> Thing | None:
        found: Thing | None = _said(self.at.get(path))
        return found

    heading = find

    def may(self, right: Right, *, account: str = "") -> bool:
        return (account, str(right)) not in self.denied

    def identity(self) -> str:
        return str(_said(self.who))

    def traffic(self, gateway: str) -> Found:
        _said(self.unseen)
        return self.found

    def put(self, thing: Thing) -> None:
        self.at[path(thing)] = thing


def _said(found: Any) -> Any:
    if isinstance(found, FalajError):
        raise found
    return found


def api() -> Plain:
    """Return an API that has everything."""
    made = Plain({"/version": {"gitVersion": "v1.34.2"}})
    for one in things():
        made.put(one)
        _list(made, one)
    made.at[GATEWAY]["status"] = copy.deepcopy(ACCEPTED)
    for kind in (*definitions.KINDS, definitions.CANARY):
        _serve(made, kind)
    return made


GATEWAY = f"/apis/gateway.networking.k8s.io/v1/namespaces/{HOME}/gateways/falaj"


def _list(made: Plain, thing: Thing) -> None:
    collection = path(thing).rpartition("/")[0]
    made.at.setdefault(collection, {"items": []})["items"].append(thing)


def _serve(made: Plain, kind: definitions.Kind) -> None:
    """Have discovery and OpenAPI tell of a kind with all of its fields."""
    group, _, version = kind.version.partition("/")
    made.at.setdefault(f"/apis/{group}", {"versions": [{"version": version}]})
    served = made.at.setdefault(f"/apis/{kind.version}", {"resources": []})
    served["resources"].append({"name": kind.kind.lower(), "kind": kind.kind})
    where = f"/openapi/v3/apis/{kind.version}"
    schemas = made.at.setdefault(where, {"components": {"schemas": {}}})["components"]["schemas"]
    named = {"group": group, "kind": kind.kind, "version": version}
    schema = schemas.setdefault(kind.kind, {"x-kubernetes-group-version-kind": [named]})
    for name in kind.fields:
        _grow(schema, name.split("."))


def _grow(schema: Thing, names: list[str]) -> None:
    for name in names:
        schema = schema.setdefault("properties", {}).setdefault(name, {})


@dataclass
class Web:
    """Pages by how their address begins; what is not there does not answer."""

    pages: dict[str, Page]

    def fetch(self, url: str) -> Page:
        for start, page in self.pages.items():
            if url.startswith(start):
                return page
        raise InfrastructureError(f"{url}: did not answer (a test)", code="page-unreachable")


def web() -> Web:
    counted = '{"data": {"result": [{"metric": {"__name__": "inference_requests_total"}}]}}'
    return Web({f"{METRICS}/api/v1/query?": Page(200, counted)})


@dataclass
class Case:
    """An installation that a test breaks in one place."""

    api: Plain = field(default_factory=api)
    site: Site = field(default_factory=site)
    web: Web = field(default_factory=web)
    environment: dict[str, str] = field(default_factory=dict)
    must: frozenset[str] = frozenset()
    several_users: Callable[[], bool] = lambda: True

    def findings(self) -> dict[str, Finding]:
        return {one.what: one for one in self.examined()}

    def examined(self, *only: str, **patience: float) -> Iterator[Finding]:
        given = (self.environment, self.must, self.web.fetch, self.several_users)
        at = Installation(self.api, self.site, *given)
        checks = {name: examining.CHECKS[name] for name in only or examining.CHECKS}
        given_time = examining.Patience(**{**asdict(PATIENT), **patience})
        return examining.examine(at, checks, patience=given_time)
