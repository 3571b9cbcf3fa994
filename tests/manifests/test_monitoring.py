"""What is scraped is what runs: selectors, ports and names agree with what serves."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from components.deployment import slots
from components.deployment.slots import Capacity, Version
from components.deployment.transformer import Transformer
from components.foundation.sealing.uri import ReleaseUri
from tests.manifests.conftest import ROOT, built
from tests.monitoring import rules

Thing = dict[str, Any]
RELEASE = ReleaseUri("falaj-models", "delays", "0123456789ab")
TRANSFORMER = Transformer("image", "examples.flights.features", "lateness", "s3://falaj-features/r")
MONITORS = {thing["metadata"]["name"]: thing["spec"] for thing in rules.objects("PodMonitor")}
RUNTIMES = ("falaj-onnx", "falaj-tensorflow", "falaj-torch")


def manifest(name: str) -> Thing:
    thing: Thing = yaml.safe_load((ROOT / "manifests" / name).read_text())
    return thing


def selected(monitor: str, labels: Mapping[str, str]) -> bool:
    selector = MONITORS[monitor]["selector"]
    assert selector.keys() <= {"matchLabels", "matchExpressions"}
    return selector["matchLabels"].items() <= labels.items() and all(
        labels.get(one["key"]) in one["values"] for one in selector.get("matchExpressions", [])
    )


def ports(monitor: str) -> list[str]:
    return [endpoint["port"] for endpoint in MONITORS[monitor]["podMetricsEndpoints"]]


def service() -> Thing:
    version = Version("a", RELEASE, transformer=TRANSFORMER)
    made: Thing = slots.manifest(version, Capacity())
    return made


@pytest.mark.parametrize("component", ["predictor", "transformer"])
def test_pods_of_a_model_are_scraped(component: str) -> None:
    labels = {**service()["metadata"]["labels"], "component": component}  # as KServe labels pods

    assert selected("falaj-models", labels)
    assert not selected("falaj-router", labels)


def test_what_kserve_runs_of_others_is_not_scraped() -> None:
    assert not selected("falaj-models", {"component": "predictor"})
    assert not selected("falaj-models", {"app.kubernetes.io/part-of": "falaj"})


def test_routers_are_scraped_on_the_port_that_they_have() -> None:
    template = manifest("router/deployment-falaj-router.yaml")["spec"]["template"]
    [container] = template["spec"]["containers"]

    assert selected("falaj-router", template["metadata"]["labels"])
    assert ports("falaj-router") == [port["name"] for port in container["ports"]]


@pytest.mark.parametrize("name", RUNTIMES)
def test_a_runtime_of_ours_has_the_port_that_is_scraped(name: str) -> None:
    [container] = manifest(f"serving/clusterservingruntime-{name}.yaml")["spec"]["containers"]

    assert ports("falaj-models") == _names(container)


def test_a_transformer_has_the_port_that_is_scraped() -> None:
    [container] = service()["spec"]["transformer"]["containers"]

    assert ports("falaj-models") == _names(container)


def _names(container: Thing) -> list[str]:
    return [port["name"] for port in container["ports"]]


@pytest.mark.parametrize("name", MONITORS)
def test_a_monitor_gives_the_job_that_rules_ask_for_and_drops_what_none_does(name: str) -> None:
    [endpoint] = MONITORS[name]["podMetricsEndpoints"]
    job, dropped = endpoint["relabelings"]

    assert job == {"action": "replace", "targetLabel": "job", "replacement": name}
    assert dropped == {"action": "labeldrop", "regex": "container|endpoint"}
    assert MONITORS[name]["sampleLimit"] == 10_000


def test_rules_ask_for_jobs_that_there_are() -> None:
    asked = {job for rule in rules.rules() for job in re.findall(r'job=~?"([^"]+)"', rule.expr)}

    assert asked
    assert all(any(re.fullmatch(job, name) for name in MONITORS) for job in asked)


def test_no_two_rules_have_one_name() -> None:
    names = [rule.name for rule in rules.rules()]

    assert len(set(names)) == len(names)


def _fields(thing: Any) -> Iterator[str]:
    match thing:
        case dict():
            yield from (found for part in thing.values() for found in _fields(part))
        case list():
            yield from (found for part in thing for found in _fields(part))
        case str():
            yield thing


def test_nothing_reads_otherwise_to_one_yaml_than_to_another() -> None:
    """A bare `=` is a value to Kubernetes and something else to YAML 1.1."""
    things = list(yaml.safe_load_all(built("manifests/monitoring")))

    assert "=" not in {field for thing in things for field in _fields(thing)}
