"""The roles of the two backends have every call that their modules make, and no more."""

import pathlib
import re

import pytest
import yaml

from components.deployment.traffic import canary, knative, probing
from components.foundation.kubernetes.resources import Resource

ROOT = pathlib.Path(__file__).parents[3]
KINDS = {
    "HPA": canary.HPA,
    "KSERVICE": probing.KSERVICE,
    "REVISION": knative.REVISION,
}
VERBS = {"get": "get", "find": "get", "list": "list", "delete": "delete"}
Right = tuple[str, str, str]


def granted(backend: str) -> set[Right]:
    path = ROOT / f"manifests/rollout-{backend}/role-falaj-runner-{backend}.yaml"
    rules = yaml.safe_load(path.read_text())["rules"]
    return {
        (group, plural, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for plural in rule["resources"]
        for verb in rule["verbs"]
    }


def called(backend: str) -> set[Right]:
    folder = ROOT / "components/deployment/traffic"
    text = (folder / f"{backend}.py").read_text()
    calls = re.findall(r"cluster\.(get|find|list|delete)\(\s*([A-Z]+)\b", text)
    return {right(VERBS[verb], KINDS[kind]) for verb, kind in calls if kind in KINDS}


def right(verb: str, resource: Resource) -> Right:
    group = resource.group if "/" in resource.api_version else ""
    return group, resource.plural, verb


@pytest.mark.parametrize("backend", ["canary", "knative"])
def test_a_backend_s_role_has_what_it_calls_and_no_more(backend: str) -> None:
    assert granted(backend) == called(backend)
