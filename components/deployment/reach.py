"""Whether requests really come to a version: through its route, and from outside of a cluster.

What cannot be known from where we are is no reason to wait: a Gateway that may not be read or has
no address, one that networks keep from us. What a Gateway says itself is: that it knows no such
host, or that nothing is behind it.
"""

import dataclasses
import socket
import urllib.parse

from components.deployment.slots import Version
from components.foundation.errors import FalajError
from components.foundation.kubernetes import resources
from components.foundation.kubernetes.client import Cluster, Manifest
from components.foundation.kubernetes.retries import Retries

_PROBE_S = 1.0


def question(version: Version) -> str:
    """Return the path that only a server of just this version says yes to."""
    return f"/v2/models/{version.model}/versions/{version.release.version}/ready"


def astray(cluster: Cluster, version: Version) -> str:
    """Say why requests to a model's host do not come to the version that has all of them.

    Empty when they do, when it has not all of them, or when it cannot be known from here.
    """
    route = cluster.find(resources.HTTP_ROUTE, version.model)
    if route is None or not _leads_only_to(route, version):
        return ""
    address = _address(cluster, route)
    if not address:
        return ""
    host = route["spec"]["hostnames"][0]
    status = _status(f"{address}{question(version)}", host)
    if status is None or (status != 404 and status < 500):  # 401 and 403: it is there, and guarded
        return ""
    return f"the Gateway at {address} answers {status} for {host}"


def through_api(cluster: Cluster, url: str, version: Version) -> bool:
    """Ask a server by way of the API server, if its name means nothing here: out of a cluster."""
    name = urllib.parse.urlsplit(url).hostname or ""
    if _known(name):
        return False
    service = f"{name.partition('.')[0]}:80"
    path = f"/api/v1/namespaces/{cluster.namespace}/services/{service}/proxy{question(version)}"
    try:
        dataclasses.replace(cluster, retries=Retries(attempts=1)).look(path)
    except FalajError:
        return False
    return True


def _known(host: str) -> bool:
    try:
        return bool(host and socket.getaddrinfo(host, None))
    except socket.gaierror:
        return False


def _leads_only_to(route: Manifest, version: Version) -> bool:
    backends = [
        one
        for rule in route["spec"].get("rules", [])
        for one in rule.get("backendRefs", [])
        if one.get("weight", 1) > 0
    ]
    return {one["name"] for one in backends} == {version.deployments[-1]}


def _address(cluster: Cluster, route: Manifest) -> str:
    """Return where a route's Gateway listens for HTTP; empty when that is not known."""
    parent = route["spec"]["parentRefs"][0]
    cluster = dataclasses.replace(cluster, namespace=parent.get("namespace", cluster.namespace))
    try:
        gateway = cluster.find(resources.GATEWAY, parent["name"])
    except FalajError:
        return ""
    addresses = ((gateway or {}).get("status") or {}).get("addresses", [])
    listeners = (gateway or {}).get("spec", {}).get("listeners", [])
    ports = [one["port"] for one in listeners if one["protocol"] == "HTTP"]
    return f"http://{addresses[0]['value']}:{ports[0]}" if addresses and ports else ""


def _status(url: str, host: str) -> int | None:
    """Return what answers; None when nothing does."""
    import urllib3

    headers = {"Host": host}
    how = {"timeout": _PROBE_S, "retries": False}
    try:
        return int(urllib3.request("GET", url, headers=headers, **how).status)  # type: ignore[arg-type]
    except urllib3.exceptions.HTTPError:
        return None
