"""What somebody does with kubectl in the middle of a rollout, on a real API server.

Who owns which field is the API server's word here: each edit is kubectl's own, or an apply of
another tool that takes fields by force.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from components.deployment.record import Record
from components.deployment.roll_back.back import Back, roll_back
from components.deployment.roll_out.rollout import Rollout
from components.deployment.traffic.interface import Backend
from components.foundation.errors import Refused
from components.foundation.kubernetes.client import Manifest
from components.foundation.kubernetes.resources import HTTP_ROUTE
from components.foundation.verdict import Decision, Verdict
from tests.cluster.claims import BETTER, FIRST, THIRD, Stage, until
from tests.cluster.ground.clients import Access
from tests.cluster.standin import stages

ANOTHER = "argocd"


@dataclass(frozen=True)
class Kubectl:
    """kubectl as who administers a namespace."""

    ground: Access
    namespace: str

    def __call__(self, *arguments: str, **how: Any) -> None:
        self.ground.kubectl("-n", self.namespace, *arguments, **how)

    def patch(self, kind: str, name: str, path: str, value: object) -> None:
        change = [{"op": "replace", "path": path, "value": value}]
        self("patch", kind, name, "--type=json", "-p", json.dumps(change))

    def apply(self, name: str, predictor: dict[str, Any]) -> None:
        """Apply a part of an InferenceService as another tool, which takes it by force."""
        how = ("--server-side", "--force-conflicts", f"--field-manager={ANOTHER}", "-f", "-")
        thing: Manifest = {"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService"}
        thing |= {"metadata": {"name": name}, "spec": {"predictor": predictor}}
        self("apply", *how, input=json.dumps(thing))


Does = Callable[[Kubectl, str], None]


def env(name: str) -> Does:
    model = {"modelFormat": {"name": "falaj-onnx"}, "env": [{"name": "THREADS", "value": "1"}]}
    return lambda kubectl, m: kubectl.apply(name.format(m=m), {"model": model})


def arguments(name: str) -> Does:
    model = {"modelFormat": {"name": "falaj-onnx"}, "args": ["--model_name=other"]}
    return lambda kubectl, m: kubectl.apply(name.format(m=m), {"model": model})


def replicas(kubectl: Kubectl, m: str) -> None:
    kubectl.patch("isvc", f"{m}-b", "/spec/predictor/minReplicas", 2)


def annotation(kubectl: Kubectl, m: str) -> None:
    kubectl("annotate", "isvc", f"{m}-b", "team=fares")


def scale(kubectl: Kubectl, m: str) -> None:
    """Do as an autoscaler does."""
    kubectl("scale", "deployment", f"{m}-b-predictor", "--replicas=2")


def weight(kubectl: Kubectl, m: str) -> None:
    kubectl.patch("httproute", m, "/spec/rules/0/backendRefs/0/weight", 7)


def record(kubectl: Kubectl, m: str) -> None:
    kubectl("annotate", "configmap", f"{m}-rollout", "team=fares")


ROLLED_BACK = [
    pytest.param(
        Backend.TWINS, env("{m}-b"), r"-b: spec\.predictor\.model\.env\S* by argocd at", id="env"
    ),
    pytest.param(
        Backend.TWINS,
        env("{m}-a"),
        r"-a: spec\.predictor\.model\.env\S* by argocd at",
        id="env of the champion",
    ),
    pytest.param(
        Backend.TWINS,
        arguments("{m}-b"),
        r"-b: spec\.predictor\.model\.args by argocd at",
        id="arguments",
    ),
    pytest.param(
        Backend.TWINS,
        replicas,
        r"-b: spec\.predictor\.minReplicas by kubectl-patch at",
        id="replicas",
    ),
    pytest.param(
        Backend.TWINS,
        annotation,
        r"-b: metadata\.annotations\.team by kubectl-annotate at",
        id="annotation",
    ),
    pytest.param(
        Backend.CANARY, env("{m}"), r": spec\.predictor\.model\.env\S* by argocd at", id="canary"
    ),
    pytest.param(
        Backend.KNATIVE, env("{m}"), r": spec\.predictor\.model\.env\S* by argocd at", id="knative"
    ),
]


@pytest.fixture(scope="module")
def namespace(ground: Access) -> Iterator[str]:
    with stages.namespace(ground, "edits") as name, stages.with_knative(ground):
        yield name


@pytest.fixture
def kubectl(ground: Access, namespace: str) -> Kubectl:
    return Kubectl(ground, namespace)


@pytest.fixture
def stage(ground: Access, namespace: str, request: pytest.FixtureRequest) -> Iterator[Stage]:
    with stages.staged(ground, namespace, request.param) as found:
        yield found


def half_way(stage: Stage, model: str) -> Rollout:
    """Return a rollout that has given its candidate a share."""
    stage.launch(model, FIRST)
    stage.launch(model, BETTER)
    run = stage.rollout(model)
    run._begin()
    run._turn()
    return run


@pytest.mark.parametrize(("stage", "does", "told"), ROLLED_BACK, indirect=["stage"])
def test_what_is_judged_is_rolled_back_with_the_field_and_who_changed_it(
    stage: Stage, kubectl: Kubectl, unique: str, does: Does, told: str
) -> None:
    run = half_way(stage, unique)
    does(kubectl, unique)

    verdict = run.run()

    assert verdict.decision is Decision.ROLL_BACK, verdict.reason
    assert re.search(told, verdict.reason), verdict.reason
    assert stage.given(unique) == {"a": 100}
    until(lambda: stage.stopped(unique, "b"))
    assert stage.launch(unique, THIRD)[1].passes


@pytest.mark.parametrize("stage", [Backend.TWINS], indirect=True)
def test_what_an_autoscaler_does_is_no_edit(stage: Stage, kubectl: Kubectl, unique: str) -> None:
    run = half_way(stage, unique)
    scale(kubectl, unique)

    assert run.run().decision is Decision.PROMOTE


@pytest.mark.parametrize(
    ("does", "told"),
    [
        pytest.param(weight, r"kubectl-patch owns \.spec\.rules", id="weight"),
        pytest.param(record, "another run has moved it on from canary", id="record"),
    ],
)
@pytest.mark.parametrize("stage", [Backend.TWINS], indirect=True)
def test_who_moves_traffic_beside_a_rollout_is_named_and_it_goes_on_after_that(
    stage: Stage, kubectl: Kubectl, unique: str, does: Does, told: str
) -> None:
    run = half_way(stage, unique)
    route = stage.somebody.get(HTTP_ROUTE, unique)
    does(kubectl, unique)

    with pytest.raises(Refused, match=told):
        run.run()
    stage.somebody.apply(whole(route), force=True)
    assert stage.rolled_out(unique).decision is Decision.PROMOTE


def whole(found: Manifest) -> Manifest:
    """Return what somebody would apply to have an object as it was."""
    named = {"name": found["metadata"]["name"]}
    return {**{key: found[key] for key in ("apiVersion", "kind", "spec")}, "metadata": named}


@pytest.mark.parametrize("stage", [Backend.TWINS], indirect=True)
def test_a_weight_that_somebody_changed_is_taken_back_by_a_rollback(
    stage: Stage, kubectl: Kubectl, unique: str
) -> None:
    half_way(stage, unique)
    weight(kubectl, unique)

    how = Back(list[Verdict]().append, whole=lambda version: version, timeout_s=60)
    verdict = roll_back(Record.open(stage.cluster, unique), how)

    assert verdict.decision is Decision.ROLL_BACK, verdict.reason
    assert stage.given(unique) == {"a": 100}
