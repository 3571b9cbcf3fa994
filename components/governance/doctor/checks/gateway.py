"""The Gateway that carries the routes of models."""

from collections.abc import Iterator
from functools import partial

from components.governance.doctor.interface import (
    Answer,
    Installation,
    Question,
    Thing,
    missing,
    unknown,
    warning,
    well,
)

NAME = "falaj"  # what `deploy` names when it is told nothing else
_GROUP = "/apis/gateway.networking.k8s.io/v1"
_MAKE = "add the feature gateway-api to the overlay, or give `deploy` the name of another"
_NO_GATEWAY = unknown("there is no Gateway", do=_MAKE)
_CONDITIONS = ("Accepted", "Programmed")


def questions(at: Installation) -> Iterator[Question]:
    if at.site.serving == "standard":
        yield Question(f"Gateway {NAME}", partial(_gateway, at))
        yield Question(f"Gateway {NAME} class", partial(_class, at))
        yield Question(f"Gateway {NAME} address", partial(_address, at))


def _found(at: Installation) -> Thing | None:
    return at.api.find(f"{_GROUP}/namespaces/{at.namespace}/gateways/{NAME}")


def _gateway(at: Installation) -> Answer:
    found = _found(at)
    if found is None:
        return missing("not there", expected="one in the namespace of the models", do=_MAKE)
    conditions = {one["type"]: one for one in _status(found).get("conditions", [])}
    for kind in _CONDITIONS:
        state = conditions.get(kind, {})
        if state.get("status") != "True":
            said = state.get("message") or state.get("reason") or "its controller says nothing"
            return missing(
                f"not {kind}: {said}",
                expected="Accepted and Programmed",
                do=f"look at `kubectl -n {at.namespace} describe gateway {NAME}`",
            )
    return well("Accepted and Programmed")


def _class(at: Installation) -> Answer:
    found = _found(at)
    if found is None:
        return _NO_GATEWAY
    name = str(found["spec"]["gatewayClassName"])
    if at.api.find(f"{_GROUP}/gatewayclasses/{name}") is None:
        do = "install its controller, or name the class of yours in the Gateway"
        return missing(f"no GatewayClass {name}", expected="a class that a controller has", do=do)
    return well(name)


def _address(at: Installation) -> Answer:
    found = _found(at)
    if found is None:
        return _NO_GATEWAY
    given = _status(found).get("addresses", [])
    if given:
        return well(", ".join(str(one["value"]) for one in given))
    return warning(
        "none yet",
        expected="an address at which clients reach models",
        do="see that the cluster gives addresses to Services of type LoadBalancer",
    )


def _status(gateway: Thing) -> Thing:
    status: Thing = gateway.get("status") or {}
    return status
