"""How KServe itself is set up: the settings that it reads from its own ConfigMap."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

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

NAMESPACES = ("kserve", "kubeflow")  # its own installation's, and Kubeflow's
_NAME = "inferenceservice-config"
_MODES = {"RawDeployment": "standard", "Standard": "standard", "": "standard"}
_MODES |= {"Serverless": "knative", "Knative": "knative"}

Settings = Mapping[str, Any]


def questions(at: Installation) -> Iterator[Question]:
    yield Question("KServe settings", lambda: _there(at))
    yield Question("KServe mode", lambda: _with(at, "deploy", _mode))
    yield Question("KServe Gateway API", lambda: _with(at, "ingress", _gateway_api))
    yield Question("KServe ingress gateway", lambda: _with(at, "ingress", _ingress_gateway))


def _there(at: Installation) -> Answer:
    if _found(at) is not None:
        return well(f"in the ConfigMap {_NAME}")
    got = f"no ConfigMap {_NAME} in {' or '.join(NAMESPACES)}"
    return missing(got, expected="KServe's settings", do="install KServe 0.21 or newer")


def _with(
    at: Installation, entry: str, judge: Callable[[Installation, Settings], Answer]
) -> Answer:
    """Judge an entry of KServe's settings."""
    found = _found(at)
    if found is None:
        return unknown(f"there is no ConfigMap {_NAME}", do="install KServe 0.21 or newer")
    settings = _parsed(found, entry)
    if settings is None:
        what = f"its entry {entry!r} is no JSON object"
        return missing(what, expected="settings that KServe can read", do=f"correct {_NAME}")
    return judge(at, settings)


def _found(at: Installation) -> Thing | None:
    """Find the settings, which most identities may not read: then Refused is raised."""
    return next(filter(None, (at.api.find(_path(where)) for where in NAMESPACES)), None)


def _path(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps/{_NAME}"


def _parsed(found: Thing, entry: str) -> Settings | None:
    try:
        settings = json.loads((found.get("data") or {}).get(entry) or "{}")
    except ValueError:
        return None
    return settings if isinstance(settings, dict) else None


def _mode(at: Installation, settings: Settings) -> Answer:
    said = str(settings.get("defaultDeploymentMode", ""))
    mode = _MODES.get(said, said)
    if mode == at.site.serving:
        return well(said or "Standard, which it is when nothing is said")
    return warning(
        f"{said}, for what does not say its own, as all of ours does",
        expected=f"what the site says, serving: {at.site.serving}",
        do=f"set defaultDeploymentMode in {_NAME}, or serving in the site file",
    )


def _gateway_api(at: Installation, settings: Settings) -> Answer:
    if settings.get("enableGatewayApi") is True or at.site.serving == "knative":
        return well("on" if settings.get("enableGatewayApi") else "off, which Knative does without")
    return warning(
        "off",
        expected="on: KServe's own canary splits nothing without it, and does not say so",
        do=f"set enableGatewayApi: true in the entry ingress of {_NAME}",
    )


def _ingress_gateway(at: Installation, settings: Settings) -> Answer:
    if settings.get("enableGatewayApi") is not True:
        return well("not used, since Gateway API is off")
    said = str(settings.get("kserveIngressGateway", ""))
    namespace, _, name = said.partition("/")
    root = f"/apis/gateway.networking.k8s.io/v1/namespaces/{namespace}/gateways"
    if name and at.api.find(f"{root}/{name}") is not None:
        return well(said)
    return warning(
        f"{said or 'none named'}, which is not there",
        expected="a Gateway for services that are not behind a route of ours",
        do=f"make it, or name another as kserveIngressGateway in {_NAME}",
    )
