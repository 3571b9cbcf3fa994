"""The API of Kubeflow Pipelines, by the one page of it that wants nobody to sign in."""

import json
from collections.abc import Iterator

from components.governance.doctor import web
from components.governance.doctor.checks import settings
from components.governance.doctor.checks.rights import RUNNER
from components.governance.doctor.interface import (
    Answer,
    Installation,
    Question,
    missing,
    unknown,
    warning,
    well,
)

HEALTH = "/apis/v2beta1/healthz"
_CORRECT = "correct pipelines.api in the site file"


def questions(at: Installation) -> Iterator[Question]:
    yield Question("Kubeflow Pipelines", lambda: _api(at))
    yield Question("account of runs", lambda: _account(at))


def _api(at: Installation) -> Answer:
    if at.site.pipelines is None:
        return unknown("the site file does not name it", do="name it there as pipelines.api")
    url = at.site.pipelines.api
    if web.is_inside(url):
        do = f"look from a pod, or by `kubectl port-forward`, at {HEALTH}"
        return unknown(f"{url} is a name inside the cluster", do=do)
    page = at.fetch(f"{url}{HEALTH}")
    if page.status in {301, 302, 303, 307, 401, 403}:
        do = "`falaj upload` signs in; this looks without"
        return unknown(f"{url} wants people to sign in (status {page.status})", do=do)
    return _health(at, url, page.text) if page.status == 200 else _wrong(url, page.status)


def _account(at: Installation) -> Answer:
    said = at.site.pipelines.service_account if at.site.pipelines else None
    if said == RUNNER:
        return well(RUNNER)
    return warning(
        said or "none named, so that Kubeflow's own is taken, which may read every Secret",
        expected=RUNNER,
        do=f"set pipelines.service_account: {RUNNER} in the site file",
    )


def _health(at: Installation, url: str, text: str) -> Answer:
    try:
        several = bool(json.loads(text).get("multi_user", False))
    except (ValueError, AttributeError):
        expected = "JSON of its health"
        return missing(f"{url} answers with another page", expected=expected, do=_CORRECT)
    own = settings.said(at).get("FALAJ_PIPELINES_NAMESPACE", "kubeflow")
    if several or own == at.namespace:
        return well(f"answers, for {'several users' if several else 'one user'}")
    return missing(
        f"it is for one user: steps run in {own}, not in {at.namespace}",
        expected="one for several users, with a Profile for the namespace",
        do="install it so, or let your overlay's namespace be its own (docs/runbook.md)",
    )


def _wrong(url: str, status: int) -> Answer:
    return missing(f"{url}{HEALTH}: status {status}", expected="200", do=_CORRECT)
