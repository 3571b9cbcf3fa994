"""Kubeflow Pipelines: whether it answers, where it runs steps, and as whom."""

from collections.abc import Iterator

from components.foundation.errors import UserError
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


def questions(at: Installation) -> Iterator[Question]:
    yield Question("Kubeflow Pipelines", lambda: _api(at))
    yield Question("account of runs", lambda: _account(at))


def _api(at: Installation) -> Answer:
    if at.site.pipelines is None:
        return unknown("the site file does not name it", do="name it there as pipelines.api")
    url = at.site.pipelines.api
    if web.is_inside(url):
        do = "look from a pod, or forward it and name the forwarded address in the site file"
        return unknown(f"{url} is a name inside the cluster", do=do)
    try:
        several = at.several_users()
    except UserError as error:
        do = "correct pipelines.api in the site file, or what you sign in with"
        return missing(str(error), expected="its API below that address", do=do)
    return _whose(at, several)


def _whose(at: Installation, several: bool) -> Answer:
    own = settings.said(at).get("FALAJ_PIPELINES_NAMESPACE", "kubeflow")
    if several or own == at.namespace:
        return well(f"answers, for {'several users' if several else 'one user'}")
    return missing(
        f"it is for one user: steps run in {own}, not in {at.namespace}",
        expected="one for several users, with a Profile for the namespace",
        do="install it so, or let your overlay's namespace be its own (docs/runbook.md)",
    )


def _account(at: Installation) -> Answer:
    said = at.site.pipelines.service_account if at.site.pipelines else None
    if said == RUNNER:
        return well(RUNNER)
    return warning(
        said or "none named, so that Kubeflow's own is taken, which may read every Secret",
        expected=RUNNER,
        do=f"set pipelines.service_account: {RUNNER} in the site file",
    )
