"""What the cluster says of the site, held against what the site file says to the compiler."""

from collections.abc import Iterator, Mapping

from components.governance.doctor.interface import Answer, Installation, Question

SITE = "falaj-site"
LAUNCHER = "kfp-launcher"
_SAID = (
    "AWS_ENDPOINT_URL",
    "AWS_REGION",
    "FALAJ_COUNTRY",
    "FALAJ_NAMESPACE",
    "FALAJ_PROVIDER",
    "FALAJ_RESIDENCY",
    "PROMETHEUS_URL",
)
_APPLY = "apply your overlay"


def questions(at: Installation) -> Iterator[Question]:
    yield Question(f"ConfigMap {SITE}", _site)
    yield Question(f"ConfigMap {LAUNCHER}", _launcher)


def said(at: Installation) -> Mapping[str, str]:
    """Return what the site's ConfigMap says; nothing where it is not there."""
    found = at.api.find(at.core("configmaps", SITE)) or {}
    return found.get("data") or {}


def _site(at: Installation) -> Answer:
    if at.api.find(at.core("configmaps", SITE)) is None:
        expected = "what steps and serving pods learn the site from"
        return Answer.missing("not there", expected=expected, do=_APPLY)
    there, wanted = said(at), at.site.environment()
    other = [name for name in _SAID if name in wanted and there.get(name) != wanted[name]]
    if other:
        return Answer.missing(
            "; ".join(f"{name} is {there.get(name, 'not there')}" for name in other),
            expected=f"as in the site file: {'; '.join(f'{n} {wanted[n]}' for n in other)}",
            do="correct site.yaml of your overlay and apply it, or correct the site file",
        )
    return Answer.well("says what the site file says")


def _launcher(at: Installation) -> Answer:
    found = at.api.find(at.core("configmaps", LAUNCHER))
    if found is None:
        return Answer.missing(
            "not there", expected="what tells the launcher where to keep artifacts", do=_APPLY
        )
    root = str((found.get("data") or {}).get("defaultPipelineRoot", ""))
    if not root.startswith("s3://") or {"?", "#"} & set(root):
        return Answer.missing(
            f"defaultPipelineRoot {root!r}",
            expected="s3://bucket/path without a query string",
            do=_APPLY,
        )
    return Answer.well(root)
