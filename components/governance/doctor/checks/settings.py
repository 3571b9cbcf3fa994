"""What the cluster says of the site, held against what the site file says to the compiler."""

from collections.abc import Iterator, Mapping
from functools import partial

from components.governance.doctor.interface import (
    Answer,
    Installation,
    Question,
    missing,
    well,
)

SITE = "falaj-site"
LAUNCHER = "kfp-launcher"
_SAID = (
    "AWS_ENDPOINT_URL",
    "AWS_REGION",
    "FALAJ_NAMESPACE",
    "FALAJ_PROVIDER",
    "FALAJ_RESIDENCY",
    "PROMETHEUS_URL",
)
_APPLY = "apply your overlay"


def questions(at: Installation) -> Iterator[Question]:
    yield Question(f"ConfigMap {SITE}", partial(_site, at))
    yield Question(f"ConfigMap {LAUNCHER}", partial(_launcher, at))


def said(at: Installation) -> Mapping[str, str]:
    """Return what the site's ConfigMap says; nothing where it is not there."""
    found = at.api.find(at.core("configmaps", SITE)) or {}
    return found.get("data") or {}


def _site(at: Installation) -> Answer:
    found = at.api.find(at.core("configmaps", SITE))
    if found is None:
        return missing("not there", expected="where things of the site are", do=_APPLY)
    there, wanted = said(at), at.site.environment()
    other = [
        f"{name} {there.get(name)!r}, not {wanted[name]!r}"
        for name in _SAID
        if name in wanted and there.get(name) != wanted[name]
    ]
    if other:
        same = "what the site file says"
        return missing("; ".join(other), expected=same, do="correct site.yaml or the site file")
    return well("says what the site file says")


def _launcher(at: Installation) -> Answer:
    found = at.api.find(at.core("configmaps", LAUNCHER))
    if found is None:
        return missing("not there", expected="where the launcher keeps artifacts", do=_APPLY)
    root = str((found.get("data") or {}).get("defaultPipelineRoot", ""))
    if not root.startswith("s3://") or "?" in root:
        return missing(
            f"defaultPipelineRoot {root!r}",
            expected="s3://bucket/path without a query string",
            do=_APPLY,
        )
    return well(root)
