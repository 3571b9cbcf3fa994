"""How KServe itself is set up: the settings that it reads from its own ConfigMap."""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from components.deployment.traffic.probing import NAMESPACES, SETTINGS
from components.governance.doctor.interface import Answer, Installation, Question, Thing

_NAME = "inferenceservice-config"
_MODES = {
    "": "standard",
    "Standard": "standard",
    "RawDeployment": "standard",
    "Knative": "knative",
    "Serverless": "knative",
}

Settings = Mapping[str, Any]
Judge = Callable[[Installation, Settings], Answer | None]


def questions(at: Installation) -> Iterator[Question]:
    yield Question("KServe settings", _there)
    yield Question("KServe mode", partial(_with, entry="deploy", judge=_mode))
    yield Question("KServe Gateway API", partial(_with, entry="ingress", judge=_gateway_api))
    gateway = partial(_with, entry="ingress", judge=_ingress_gateway)
    yield Question("KServe ingress gateway", gateway)


def _there(at: Installation) -> Answer:
    if _found(at) is not None:
        return Answer.well(f"in the ConfigMap {_NAME}")
    got = f"no ConfigMap {_NAME} in {' or '.join(NAMESPACES)}"
    return Answer.missing(got, expected="KServe's settings", do="install KServe 0.21 or newer")


def _with(at: Installation, *, entry: str, judge: Judge) -> Answer | None:
    """Judge an entry of KServe's settings."""
    found = _found(at)
    if found is None:
        return None
    settings = _parsed(found, entry)
    if settings is None:
        got = f"the entry {entry} is no JSON object"
        do = f"correct {entry} in {_NAME}"
        return Answer.missing(got, expected="settings that KServe can read", do=do)
    return judge(at, settings)


def _found(at: Installation) -> Thing | None:
    """Find the settings, which most identities may not read: then Refused is raised."""
    return next(filter(None, map(at.api.find, SETTINGS)), None)


def _parsed(found: Thing, entry: str) -> Settings | None:
    try:
        settings = json.loads((found.get("data") or {}).get(entry) or "{}")
    except ValueError:
        return None
    return settings if isinstance(settings, dict) else None


def _mode(at: Installation, settings: Settings) -> Answer:
    said = str(settings.get("defaultDeploymentMode", ""))
    if _MODES.get(said) == at.site.serving:
        return Answer.well(said or "Standard, which it is when nothing is said")
    return Answer.warning(
        f"{said or 'Standard'}, for services that name no mode; those of `deploy` name theirs",
        expected=f"what the site says, serving: {at.site.serving}",
        do=f"set defaultDeploymentMode in {_NAME}, or serving in the site file",
    )


def _gateway_api(at: Installation, settings: Settings) -> Answer:
    if settings.get("enableGatewayApi") is True:
        return Answer.well("on")
    if at.site.serving == "knative":
        return Answer.well("off, which Knative does without")
    return Answer.warning(
        "off",
        expected="on: KServe's own canary splits nothing without it, and does not say so",
        do=f"set enableGatewayApi: true in the entry ingress of {_NAME}",
    )


def _ingress_gateway(at: Installation, settings: Settings) -> Answer | None:
    if settings.get("enableGatewayApi") is not True:
        return None
    said = str(settings.get("kserveIngressGateway", ""))
    namespace, _, name = said.partition("/")
    root = f"/apis/gateway.networking.k8s.io/v1/namespaces/{namespace}/gateways"
    if name and at.api.find(f"{root}/{name}") is not None:
        return Answer.well(said)
    return Answer.warning(
        f"{said} is not there" if name else f"{said or 'nothing'} is named, not NAMESPACE/NAME",
        expected="a Gateway for services that are not behind a route of ours",
        do=f"make it, or name another as kserveIngressGateway in {_NAME}",
    )
