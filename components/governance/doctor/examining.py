"""Ask every question of every check; one that cannot be answered says why."""

from collections.abc import Iterator, Mapping

from components.foundation.errors import InfrastructureError, Refused
from components.governance.doctor.checks import (
    definitions,
    gateway,
    kserve,
    metrics,
    pipelines,
    release,
    residency,
    rights,
    secrets,
    security,
    serving,
    settings,
    storage,
    traffic,
)
from components.governance.doctor.interface import (
    Answer,
    Check,
    Finding,
    Installation,
    Question,
    Status,
    unknown,
)

CHECKS: Mapping[str, Check] = {
    "kubernetes": release.questions,
    "definitions": definitions.questions,
    "namespace": security.questions,
    "settings": settings.questions,
    "residency": residency.questions,
    "rights": rights.questions,
    "secrets": secrets.questions,
    "storage": storage.questions,
    "kserve": kserve.questions,
    "serving": serving.questions,
    "gateway": gateway.questions,
    "traffic": traffic.questions,
    "metrics": metrics.questions,
    "pipelines": pipelines.questions,
}
_DOWN = "kubernetes-unreachable"


def examine(at: Installation, checks: Mapping[str, Check] = CHECKS) -> Iterator[Finding]:
    """Yield what is found, in the order in which things have to be there.

    Raises:
        InfrastructureError: the Kubernetes API does not answer, so that nothing can be known.
        Refused: it does not know who asks.
    """
    at.api.find("/version")
    for name, check in checks.items():
        for question in check(at):
            answer = _answer(question)
            told = (answer.status, answer.got, answer.expected, answer.do)
            yield Finding(name, question.what, *told)


def _answer(question: Question) -> Answer:
    try:
        return question.ask()
    except Refused as error:
        return unknown(str(error), do="have that granted, or let an administrator look")
    except InfrastructureError as error:
        if error.code == _DOWN:
            raise
        return unknown(str(error), do="look again")


def lacking(findings: list[Finding]) -> list[Finding]:
    """Return what the installation cannot do without and has not."""
    return [one for one in findings if one.status is Status.MISSING]
