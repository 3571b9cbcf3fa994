"""The hosts on the way to KFP, held to the site's law before a byte goes there."""

import urllib.parse

from components.foundation.errors import Refused
from components.foundation.site import Site
from pipelines.kubeflow.identity import is_loopback
from pipelines.kubeflow.proxy import Proxy

_API = "PIPELINES_API_URL"


def hold(site: Site, proxy: Proxy | None) -> None:
    """Refuse an API or a proxy of which nobody knows that it stands where the law wants it.

    What is uploaded passes through both: a pipeline says a model's parameters and where data lie.
    """
    if site.pipelines is not None:
        _hold(site, _API, site.pipelines.api, field="pipelines.api")
    if proxy is not None:
        _hold(site, proxy.variable, proxy.address, field=proxy.variable)


def _hold(site: Site, key: str, address: str, *, field: str) -> None:
    host = urllib.parse.urlsplit(address).hostname or ""
    if is_loopback(host) or host in site.residency.hosts:
        return
    if found := _found(site, key, address, host):
        raise Refused(
            f"site {site.name}: {field} = {address}: {found}; if it stands in the country, name "
            f"{host} under residency.hosts in the site's file",
            code="residency-refused",
        )


def _found(site: Site, key: str, address: str, host: str) -> str:
    """Return what the policies say of an address, as they would of a ConfigMap with it."""
    from components.governance.residency import checking
    from components.governance.residency.reading import Laws

    if "." not in host and ":" not in host:
        return "of a name without a domain nobody can tell where it is"
    thing = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "way"},
        "data": {key: address},
    }
    judged = checking.judge(thing, Laws.at(site).holding(thing))
    findings = (finding for one in judged for finding in one.findings)
    first = next(findings, "")
    return first.partition(f" = {address}: ")[2].partition(";")[0] or first
