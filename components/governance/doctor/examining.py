"""Ask every question of every check; one that cannot be answered says why."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial

from components.foundation.errors import FalajError, InfrastructureError, Refused, UserError
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
)
from components.governance.doctor.patience import Unanswered, within

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


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for one answer, and for all of them together."""

    one_s: float = 20.0
    all_s: float = 180.0


PATIENCE = Patience()


def examine(
    at: Installation, checks: Mapping[str, Check] = CHECKS, *, patience: Patience | None = None
) -> Iterator[Finding]:
    """Yield what is found, in the order in which things have to be there.

    Raises:
        InfrastructureError: the Kubernetes API does not answer, or not to everything; what was
            yielded until then holds.
        Refused: it does not know who asks.
        UserError: what answers is no Kubernetes API.
    """
    asking = _Asking(at, patience or PATIENCE)
    asking.greet()
    for name, check in checks.items():
        for question in check(at):
            if (answer := asking.answer(question)) is not None:
                yield Finding(name, question.what, **asdict(answer))
    if asking.failed:
        raise _unfinished(f"{len(asking.failed)} failed, the first is {asking.failed[0]}")


def lacking(findings: list[Finding]) -> list[Finding]:
    """Return what the installation cannot do without and has not."""
    return [one for one in findings if one.status is Status.MISSING]


@dataclass
class _Asking:
    """Asks one question after the other.

    Attributes:
        reasons: why something cannot be known -> what that was said of first.
        failed: what the Kubernetes API owes an answer to.
    """

    at: Installation
    patience: Patience
    reasons: dict[str, str] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._ends = time.monotonic() + self.patience.all_s

    def greet(self) -> None:
        """See that there is a Kubernetes API that knows us."""
        try:
            version = within(self.patience.one_s, partial(self.at.api.find, "/version"))
        except Unanswered as error:
            raise InfrastructureError(
                f"Kubernetes API: {error}; check that it runs and that KUBECONFIG names it, then "
                "run again",
                code=_DOWN,
            ) from error
        if "gitVersion" not in (version or {}):
            raise UserError(
                "GET /version: what answers is no Kubernetes API; name the API server itself in "
                "KUBECONFIG, not a page to sign in or another server",
                code="doctor-elsewhere",
            )

    def answer(self, question: Question) -> Answer | None:
        if time.monotonic() > self._ends:
            raise _unfinished(f"more than {self.patience.all_s:g} s, at {question.what}")
        try:
            return within(self.patience.one_s, partial(question.ask, self.at))
        except Refused as error:
            return self._unknown(question, error, "have that granted, or let an administrator look")
        except FalajError as error:
            if error.code == _DOWN:
                raise
            if isinstance(error, InfrastructureError):
                self.failed.append(f"{question.what}: {error}")
            return self._unknown(question, error, f"look again, or see `falaj errors {error.code}`")

    def _unknown(self, question: Question, error: FalajError, do: str) -> Answer:
        """Say why; once, where the same keeps several answers."""
        first = self.reasons.setdefault(str(error), question.what)
        if first != question.what:
            return Answer.unknown(f"for the same reason as {first}", do="")
        return Answer.unknown(str(error), do=do)


def _unfinished(why: str) -> InfrastructureError:
    return InfrastructureError(
        f"not everything could be asked of the Kubernetes API ({why}); run again",
        code="doctor-unfinished",
    )
