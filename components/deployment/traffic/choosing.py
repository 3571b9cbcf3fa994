"""Which backend carries a model: what its record says, else what the cluster can carry."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, assert_never

from components.deployment import route as routes
from components.deployment.record import Record
from components.deployment.route import Route
from components.deployment.traffic.canary import Canary
from components.deployment.traffic.interface import Backend, Traffic
from components.deployment.traffic.knative import Knative
from components.deployment.traffic.probing import Found, probe
from components.deployment.traffic.twins import Twins
from components.foundation.errors import Refused, UserError, nearest
from components.foundation.kubernetes.client import Cluster

AUTO = "auto"

_NO_KSERVE = "KServe is not installed: no InferenceService of serving.kserve.io/v1beta1"
_NO_ROUTES = "Gateway API is not installed: no HTTPRoute of gateway.networking.k8s.io/v1"
_NO_KNATIVE = "Knative Serving is not installed: no Service of serving.knative.dev/v1"
_NO_SETTINGS = "knative-serving has no ConfigMap config-autoscaler, and KServe then makes nothing"
_NO_SPLIT = "KServe's ConfigMap says enableGatewayApi false: the canary would get no request"


@dataclass(frozen=True, slots=True)
class Chosen:
    """What carries a model, and why.

    Attributes:
        because: what was asked for, what was found and what could not be seen, when the model was
            first deployed; empty for models that were deployed before this was kept.
    """

    traffic: Traffic
    because: Mapping[str, Any]


def taken(record: Record) -> Traffic:
    """Return what carries a model that was deployed before."""
    backend = Backend(record.state.backend)
    if backend is Backend.TWINS:
        return Twins(record.cluster, routes.of(record.cluster, record.model))
    return _opened(backend, record.cluster, Route(record.model, "", ""))


def chosen(cluster: Cluster, route: Route, record: Record | None, *, asked: str) -> Chosen:
    """Choose what carries a model, for a deployment that asks for a backend or leaves it open.

    Raises:
        UserError: there is no such backend.
        Refused: the model is carried by another one, or the cluster cannot carry this one.
    """
    wanted = _parsed(asked)
    if record is None:
        found = probe(cluster, route.gateway)
        backend = choice(found, wanted)
        because = {"asked": asked, "reason": why(backend, found), "found": found.to_dict()}
        return Chosen(_opened(backend, cluster, route), because)
    carried = Backend(record.state.backend)
    if wanted not in (None, carried):
        raise Refused(
            f"model {record.model}: is carried by {carried}, asked for {wanted}; leave the "
            "backend out, or deploy under another model's name",
            code="backend-changed",
        )
    return Chosen(_opened(carried, cluster, route), record.state.because)


def choice(found: Found, wanted: Backend | None) -> Backend:
    """Choose a backend by what a cluster has: twins wherever a route can be theirs.

    Raises:
        Refused: the cluster cannot carry what is wanted, or nothing at all.
    """
    if wanted is None and not found.routes and not found.knative:
        raise _missing("any backend", f"{_NO_ROUTES}, and {_NO_KNATIVE}")
    backend = wanted or (Backend.TWINS if found.routes else Backend.KNATIVE)
    if lacks := _why_not(backend, found):
        raise _missing(f"the backend {backend}", lacks)
    return backend


def why(backend: Backend, found: Found) -> str:
    """Say in one sentence what speaks for a backend that a cluster can carry."""
    match backend:
        case Backend.TWINS:
            told = "says nothing against them" if found.gateway == "" else "was not seen"
            return f"the API server has HTTPRoutes; its Gateway {told}"
        case Backend.CANARY:
            if found.gateway_api:
                return "KServe says that it makes routes of Gateway API"
            return "KServe does not say whether it makes routes; its route is read back instead"
        case Backend.KNATIVE:
            told = "are there" if found.autoscaler else "were not seen"
            return f"the API server has Knative's Services; the settings of its autoscaler {told}"
    assert_never(backend)


def _why_not(backend: Backend, found: Found) -> str:
    """Say why a cluster cannot carry a backend; empty when it can, as far as is seen."""
    if not found.kserve:
        return _NO_KSERVE
    match backend:
        case Backend.TWINS:
            return (found.gateway or "") if found.routes else _NO_ROUTES
        case Backend.CANARY:
            if not found.routes:
                return _NO_ROUTES
            return _NO_SPLIT if found.gateway_api is False else ""
        case Backend.KNATIVE:
            if not found.knative:
                return _NO_KNATIVE
            return _NO_SETTINGS if found.autoscaler is False else ""
    assert_never(backend)


def _opened(backend: Backend, cluster: Cluster, route: Route) -> Traffic:
    match backend:
        case Backend.TWINS:
            return Twins(cluster, route)
        case Backend.CANARY:
            return Canary(cluster, route.model)
        case Backend.KNATIVE:
            return Knative(cluster, route.model)
    assert_never(backend)


def _parsed(asked: str) -> Backend | None:
    if asked == AUTO:
        return None
    try:
        return Backend(asked)
    except ValueError:
        known = [AUTO, *map(str, Backend)]
        raise UserError(
            f"backend {asked!r}: {nearest(asked, known)}", code="setting-out-of-range"
        ) from None


def _missing(what: str, why: str) -> Refused:
    return Refused(
        f"cannot split traffic with {what}: {why}; install that, or choose a backend that the "
        "cluster carries: twins need Gateway API with a Gateway, canary needs KServe 0.21 with "
        "enableGatewayApi, knative needs Knative Serving",
        code="backend-missing",
    )
