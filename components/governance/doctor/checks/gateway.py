"""The Gateway that carries the routes of models."""

from collections.abc import Iterator

from components.governance.doctor.interface import Answer, Installation, Question, Thing

NAME = "falaj"  # what `deploy` names when it is told nothing else
_GROUP = "/apis/gateway.networking.k8s.io/v1"
_CONDITIONS = ("Accepted", "Programmed")


def questions(at: Installation) -> Iterator[Question]:
    if at.site.serving == "standard":
        yield Question(f"Gateway {NAME}", _gateway)
        yield Question(f"Gateway {NAME} class", _class)
        yield Question(f"Gateway {NAME} address", _address)


def _found(at: Installation) -> Thing | None:
    return at.api.find(f"{_GROUP}/namespaces/{at.namespace}/gateways/{NAME}")


def _gateway(at: Installation) -> Answer:
    found = _found(at)
    if found is None:
        return Answer.missing(
            "not there",
            expected=f"a Gateway in {at.namespace}, the namespace of the models",
            do="add the feature gateway-api to your overlay, or give `deploy` the name of another",
        )
    conditions = {one["type"]: one for one in _status(found).get("conditions", [])}
    for kind in _CONDITIONS:
        state = conditions.get(kind, {})
        if state.get("status") != "True":
            said = state.get("message") or state.get("reason") or "its controller says nothing"
            return Answer.missing(
                f"not {kind}: {said}",
                expected="Accepted and Programmed",
                do=f"look at `kubectl -n {at.namespace} describe gateway {NAME}`",
            )
    return Answer.well("Accepted and Programmed")


def _class(at: Installation) -> Answer | None:
    found = _found(at)
    if found is None:
        return None
    name = str(found["spec"]["gatewayClassName"])
    if at.api.find(f"{_GROUP}/gatewayclasses/{name}") is None:
        do = "install its controller, or name the class of yours in the Gateway"
        return Answer.missing(f"no GatewayClass {name}", expected="a controller's class", do=do)
    return Answer.well(name)


def _address(at: Installation) -> Answer | None:
    found = _found(at)
    if found is None:
        return None
    if given := _status(found).get("addresses"):
        return Answer.well(", ".join(str(one["value"]) for one in given))
    return Answer.warning(
        "none yet",
        expected="an address at which clients reach models",
        do="see that the cluster gives addresses to Services of type LoadBalancer",
    )


def _status(gateway: Thing) -> Thing:
    status: Thing = gateway.get("status") or {}
    return status
