"""What identities may do: whoever asks, and the account of steps."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from components.governance.doctor.interface import Answer, Installation, Question, Right

RUNNER = "falaj-runner"
_STEP = f"run it as a step, which is {RUNNER}, or have a Role with these rights bound to you"
_APPLY = "apply your overlay, which has manifests/rbac"
_GROUP = "have yourself put into the group of the role falaj-ml-engineer"
_KSERVE, _ROUTES = "serving.kserve.io", "gateway.networking.k8s.io"
_KFP, _TRAINER, _ARGO = "pipelines.kubeflow.org", "trainer.kubeflow.org", "argoproj.io"


def _each(verbs: str, group: str, resource: str, name: str = "") -> tuple[Right, ...]:
    return tuple(Right(verb, group, resource, name) for verb in verbs.split())


@dataclass(frozen=True, slots=True)
class Task:
    """What somebody wants to do, the rights that it takes, and how to come by them."""

    name: str
    rights: tuple[Right, ...]
    how: str


DEPLOY = Task(
    "deploy",
    (
        *_each("get create patch", _KSERVE, "inferenceservices"),
        *_each("get create patch", _ROUTES, "httproutes"),
        *_each("get", _ROUTES, "gateways"),
        *_each("get create update", "", "configmaps"),
        *_each("get", "apps", "deployments"),
        *_each("list", "", "events"),
        *_each("list", "", "pods"),
    ),
    _STEP,
)
ROLL_OUT = Task(
    "roll_out",
    (
        *_each("get patch", _KSERVE, "inferenceservices"),
        *_each("get patch", _ROUTES, "httproutes"),
        *_each("get update", "", "configmaps"),
        *_each("get", "apps", "deployments"),
    ),
    _STEP,
)
LAUNCH = Task(
    "run a step",
    (
        *_each("get", "", "pods"),
        *_each("get", "", "configmaps"),
        *_each("get", "", "secrets", "falaj-object-store"),
        *_each("create patch", _ARGO, "workflowtaskresults"),
    ),
    "",
)
UPLOAD = Task("upload", _each("get list create", _KFP, "pipelines"), _GROUP)
RUN = Task(
    "run",
    (*_each("get list create", _KFP, "experiments"), *_each("get list create", _KFP, "runs")),
    _GROUP,
)
SCHEDULE = Task("schedule", _each("get list create", _KFP, "jobs"), _GROUP)
TRAIN = Task(
    "train",
    (
        *_each("get list watch create delete", _TRAINER, "trainjobs"),
        *_each("get", _TRAINER, "trainingruntimes"),
    ),
    _GROUP,
)
OWN = (DEPLOY, ROLL_OUT, UPLOAD, RUN, SCHEDULE, TRAIN)
STEPS = (LAUNCH, DEPLOY, ROLL_OUT)


def questions(at: Installation) -> Iterator[Question]:
    yield Question(f"ServiceAccount {RUNNER}", _account)
    for task in STEPS:
        yield Question(f"{RUNNER} may {task.name}", partial(_runner, task=task))
    for task in OWN:
        yield Question(f"this identity may {task.name}", partial(_own, task=task))


def _account(at: Installation) -> Answer:
    if at.api.find(at.core("serviceaccounts", RUNNER)) is None:
        return Answer.missing("not there", expected="the account of all steps", do=_APPLY)
    return Answer.well("there")


def _runner(at: Installation, *, task: Task) -> Answer:
    lacking = [right for right in task.rights if not at.api.may(right, account=RUNNER)]
    if lacking:
        return Answer.missing(_not(lacking), expected=_all(task), do=_APPLY)
    return Answer.well(_all(task))


def _own(at: Installation, *, task: Task) -> Answer:
    lacking = [right for right in task.rights if not at.api.may(right)]
    if not lacking:
        return Answer.well(_all(task))
    serious = Answer.missing if task.name in at.must else Answer.warning
    return serious(_not(lacking), expected=_all(task), do=task.how)


def _not(lacking: list[Right]) -> str:
    """Name what is lacking, the verbs on one kind together."""
    verbs: dict[str, list[str]] = {}
    for right in lacking:
        verbs.setdefault(right.on, []).append(right.verb)
    return "may not " + "; nor ".join(f"{', '.join(v)} {on}" for on, v in verbs.items())


def _all(task: Task) -> str:
    return f"all {len(task.rights)} rights"
