"""Pods of a run, shaped as KFP's compiler and Argo's controller make them, under `restricted`."""

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.cluster import applied
from tests.cluster.ground.clients import Access
from tests.manifests.conftest import ROOT

Thing = dict[str, Any]

PAGE = (ROOT / "docs" / "cluster.md").read_text()
PIPELINES = sorted((ROOT / "tests" / "golden" / "pipelines").glob("*.yaml"))
NAMESPACE = "falaj-runs-test"
IMAGE = f"registry.falaj.example/falaj/data@sha256:{'0' * 64}"
# What KFP's compiler (2.17) writes into every container that a user brings, and into its own.
USERS = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
KFPS = {**USERS, "runAsNonRoot": True}


def blocks() -> list[Thing]:
    """The settings of the page, as an administrator would copy them."""
    section = re.split(r"^## ", PAGE, flags=re.MULTILINE)[3]
    assert section.startswith("2. Kubeflow's own settings")
    return [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)]


@pytest.fixture(scope="module")
def place(ground: Access) -> Iterator[str]:
    """A namespace with the labels of ours."""
    text = (ROOT / "manifests" / "namespace" / "namespace-falaj.yaml").read_text()
    thing = yaml.safe_load(text)
    thing["metadata"]["name"] = NAMESPACE
    applied.apply(ground, [thing, _account()])
    yield NAMESPACE
    ground.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def executor() -> Thing:
    found: Thing = blocks()[1]["securityContext"]
    return found


def defaults() -> Thing:
    """What KFP makes of the administrator's defaults: they win over what a step says."""
    said = blocks()[0]["data"]
    return {
        "runAsUser": int(said["defaultSecurityContextRunAsUser"]),
        "runAsGroup": int(said["defaultSecurityContextRunAsGroup"]),
        "runAsNonRoot": said["defaultSecurityContextRunAsNonRoot"] == "true",
    }


def run_pod(main: Thing, argo: Thing | None) -> Thing:
    """A step's pod: Argo's init and wait around KFP's launcher and the step itself."""
    spec = {
        "serviceAccountName": "falaj-runner",
        "restartPolicy": "Never",
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "initContainers": [_container("init", argo), _container("kfp-launcher", KFPS)],
        "containers": [_container("wait", argo), _container("main", main)],
    }
    metadata = {"generateName": "run-", "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def said_by(path: Any) -> list[Thing]:
    """What each step of a compiled pipeline says of itself, in the words of a pod."""
    platform = list(yaml.safe_load_all(path.read_text()))[-1]["platforms"]["kubernetes"]
    executors = platform["deploymentSpec"]["executors"].values()
    return [_numbers(one["securityContext"]) for one in executors]


def test_every_step_of_ours_is_admitted(ground: Access, place: str) -> None:
    said = [context for path in PIPELINES for context in said_by(path)]
    kinds = [dict(one) for one in {tuple(sorted(context.items())) for context in said}]

    for context in kinds:
        assert refusal(ground, run_pod({**USERS, **context}, executor())) == ""
    assert len(said) > 30


def test_a_step_that_says_nothing_is_admitted_with_the_administrators_default(
    ground: Access, place: str
) -> None:
    assert refusal(ground, run_pod({**USERS, **defaults()}, executor())) == ""


def test_a_step_that_says_nothing_is_refused_without_it(ground: Access, place: str) -> None:
    said = refusal(ground, run_pod(USERS, executor()))

    assert 'container "main" must set securityContext.runAsNonRoot=true' in said
    assert '"wait"' not in said


def test_argos_own_containers_are_refused_without_the_executors_setting(
    ground: Access, place: str
) -> None:
    said = refusal(ground, run_pod({**USERS, **defaults()}, None))

    assert '"init", "wait"' in said
    assert '"main"' not in said


def test_a_driver_is_admitted(ground: Access, place: str) -> None:
    pod = run_pod(KFPS, executor())
    pod["spec"]["securityContext"]["runAsNonRoot"] = True

    assert refusal(ground, pod) == ""


def test_a_sidecar_that_changes_the_network_is_refused(ground: Access, place: str) -> None:
    pod = copy.deepcopy(run_pod({**USERS, **defaults()}, executor()))
    changes = {"capabilities": {"add": ["NET_ADMIN", "NET_RAW"]}}
    pod["spec"]["initContainers"].append(_container("istio-init", changes))

    assert '"istio-init"' in refusal(ground, pod)


def refusal(ground: Access, pod: Thing) -> str:
    """Ask whether a pod would be taken; return what was said against it."""
    done = ground.kubectl(
        "create", "--dry-run=server", "-f", "-", input=json.dumps(pod), check=False
    )
    assert (done.returncode == 0) == (done.stderr == ""), done.stderr
    return done.stderr


def _numbers(context: Thing) -> Thing:
    """Read the compiled file's 64-bit numbers, which JSON has as text."""
    return {key: int(part) if isinstance(part, str) else part for key, part in context.items()}


def _account() -> Thing:
    metadata = {"name": "falaj-runner", "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}


def _container(name: str, context: Thing | None) -> Thing:
    return {"name": name, "image": IMAGE, **({"securityContext": context} if context else {})}
