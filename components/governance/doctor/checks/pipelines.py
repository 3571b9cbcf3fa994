"""Kubeflow Pipelines: whether it answers, where it runs steps, and as whom."""

from collections.abc import Iterator

from components.foundation.errors import InfrastructureError, UserError
from components.governance.doctor.checks import settings
from components.governance.doctor.checks.rights import RUNNER
from components.governance.doctor.interface import Answer, Installation, Question
from components.governance.doctor.patience import within

_LONGEST_S = 15.0  # its client tries again for much longer


def questions(at: Installation) -> Iterator[Question]:
    yield Question("Kubeflow Pipelines", _api)
    if at.site.pipelines is not None:
        yield Question("account of runs", _account)


def _api(at: Installation) -> Answer:
    if at.site.pipelines is None:
        return Answer.unknown("the site file does not name it", do="name it there as pipelines.api")
    if (away := at.out_of_reach(at.site.pipelines.api)) is not None:
        return away
    try:
        several = within(_LONGEST_S, at.several_users)
    except UserError as error:
        do = "correct pipelines.api in the site file, or what you sign in with"
        return Answer.missing(str(error), expected="its API below that address", do=do)
    except InfrastructureError as error:
        do = "look again, or from where it can be reached"
        return Answer.unknown(f"{at.site.pipelines.api}: {error}", do=do)
    return _whose(at, several)


def _whose(at: Installation, several: bool) -> Answer:
    own = settings.said(at).get("FALAJ_PIPELINES_NAMESPACE", "kubeflow")
    if several or own == at.namespace:
        return Answer.well(f"answers, for {'several users' if several else 'one user'}")
    return Answer.missing(
        f"it is for one user: steps run in {own}, not in {at.namespace}",
        expected="one for several users, with a Profile for the namespace",
        do="install it so, or let your overlay's namespace be its own (docs/runbook.md)",
    )


def _account(at: Installation) -> Answer:
    said = at.site.pipelines.service_account if at.site.pipelines else ""
    if said == RUNNER:
        return Answer.well(RUNNER)
    return Answer.warning(
        said or "none named: Kubeflow's own is taken, which may read every Secret",
        expected=f"{RUNNER}, whose rights are what steps need",
        do=f"set pipelines.service_account: {RUNNER} in the site file",
    )
