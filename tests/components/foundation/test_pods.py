"""What a site may say of the pods of steps, and in which words it is told what is wrong."""

import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from components.foundation import pods
from components.foundation.errors import UserError
from components.foundation.pods import Accelerator, Pod, Pods, Use
from components.foundation.site import Site

ROOT = pathlib.Path(__file__).parents[3]
SITES = ROOT / "pipelines" / "sites"
CLUSTER = (SITES / "cluster.yaml").read_text()
WHOLE = """
pods:
  every:
    image_pull_secrets: [registry-login]
    labels: {team: delays}
  families:
    torch:
      accelerator: {type: nvidia.com/gpu, count: 2}
      empty_dirs: [{name: shm, mount: /dev/shm, medium: Memory, size: 2Gi}]
      tolerations: [{key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}]
      labels: {team: vision, tier: gpu}
  steps:
    train_torch:
      cpu: 4
      memory: 16G
      accelerator: {type: amd.com/gpu}
      secrets: [{name: licence, env: {key: LICENCE}}]
"""


def site(said: str) -> Site:
    return Site.parse(CLUSTER + said, source="my-site.yaml")


def every(said: str) -> Site:
    return site(f"pods:\n  every: {said}\n")


def test_what_is_said_of_a_step_is_over_its_family_and_that_over_every_step() -> None:
    pod = site(WHOLE).pods.of("train_torch", family="torch")

    assert pod.accelerator == Accelerator(type="amd.com/gpu", count=1)
    assert (pod.cpu, pod.memory) == ("4", "16G")
    assert pod.labels == {"team": "vision", "tier": "gpu"}
    assert pod.image_pull_secrets == ("registry-login",)
    assert [one.name for one in pod.empty_dirs] == ["shm"]
    assert pod.secrets == (Use(name="licence", env={"key": "LICENCE"}),)


def test_a_step_of_another_family_gets_only_what_every_step_gets() -> None:
    assert site(WHOLE).pods.of("validate", family="data") == Pod(
        image_pull_secrets=("registry-login",), labels={"team": "delays"}
    )


def test_what_is_said_twice_is_given_once() -> None:
    said = Pod(image_pull_secrets=("a",), secrets=(Use(name="s", mount="/s"),))

    assert said.over(said) == said


def test_a_site_with_pods_survives_a_round_trip_and_holds_only_what_was_said() -> None:
    whole = site(WHOLE)

    assert Site.parse(whole.text()) == whole
    assert "timeout_s" not in whole.text()
    assert "pods: {}" in site("").text()


def test_a_laptop_has_no_pods() -> None:
    laptop = (SITES / "laptop.yaml").read_text()

    with pytest.raises(UserError, match="pods: a laptop has none"):
        Site.parse(laptop + WHOLE)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ("{acelerator: {type: a.b/c}}", "every.acelerator: unknown field; did you mean 'accele"),
        ("{accelerator: {count: 1}}", "every.accelerator.type: Field required"),
        ("{accelerator: {type: gpu}}", "type: got 'gpu'; expected a device's resource such as nv"),
        ("{accelerator: {type: a.b/c, count: 0}}", "count: got 0"),
        ("{memory: 4GB}", "every.memory: got '4GB'; expected bytes such as 4G or 512Mi"),
        ("{cpu: two}", "every.cpu: got 'two'; expected cores such as 2, 0.5 or 500m"),
        ("{cpu: 1.5m}", "got '1.5m'"),
        ("{secrets: [{name: UPPER_bad, mount: /x}]}", "secrets.0.name: got 'UPPER_bad'"),
        ("{secrets: [{name: a}]}", "a: give either env (key: VARIABLE) or mount (a path)"),
        ("{secrets: [{name: a, mount: /x, env: {b: C}}]}", "a: give either env"),
        ("{secrets: [{name: a, env: {b: not-legal}}]}", "got 'not-legal'; expected a variable's"),
        ("{config_maps: [{name: a_b, mount: /x}]}", "config_maps.0.name: got 'a_b'"),
        ("{claims: [{name: a, mount: data}]}", "got 'data'; expected an absolute path"),
        ("{claims: [{name: a, mount: /a/../b}]}", "got '/a/../b'"),
        ("{empty_dirs: [{name: a, mount: /x, medium: memory}]}", "did you mean 'Memory'?"),
        ("{empty_dirs: [{name: a, mount: /x, medium: Memory}]}", "a: in memory without a size"),
        ("{empty_dirs: [{name: a.b, mount: /x}]}", "got 'a.b'; expected a volume's name"),
        ("{empty_dirs: [{name: a, mount: /x, size: big}]}", "size: got 'big'"),
        ("{tolerations: [{operator: Exist}]}", "got 'Exist'; did you mean 'Exists'?"),
        ("{tolerations: [{key: k, operator: Exists, value: x}]}", "k: Exists has no value"),
        ("{tolerations: [{value: x}]}", "say operator: Exists"),
        ("{tolerations: [{key: k, seconds: 5}]}", "k: seconds are for the effect NoExecute"),
        ("{security: {user: 0}}", "user: got 0; expected 1 or more: no step of ours is root"),
        ("{timeout_s: 0}", "every.timeout_s: got 0"),
        ("{node_selector: {zone: true}}", "node_selector.zone: got True"),
        ("{labels: {'bad key': x}}", "got 'bad key'; expected a key such as team"),
        ("{labels: {team: 'a b'}}", "labels.team: got 'a b'"),
        ("{labels: {t\u00e9am: x}}", "got 't\u00e9am'; expected a key such as team"),
        ("{cpu: '\u0663'}", "got '\u0663'; expected cores"),
        ("{memory: 64K}", "got '64K'; expected bytes such as 4G or 512Mi"),
        ("{secrets: [{name: a..b, mount: /x}]}", "secrets.0.name: got 'a..b'"),
        ("{secrets: [{name: a, env: {'b c': C}}]}", "got 'b c'; expected a key such as tls.crt"),
        ("{claims: [{name: a, mount: /x, sub_path: ../b}]}", "sub_path: got '../b'"),
        ("{claims: [{name: a, mount: /x, sub_path: /b}]}", "sub_path: got '/b'"),
        ("{node_afinity: []}", "every.node_afinity: unknown field; did you mean 'node_affinity'?"),
        ("{node_affinity: [{key: k, operator: Inn}]}", "got 'Inn'; did you mean 'In'?"),
        ("{node_affinity: [{key: k}]}", "k: got []; In expects values"),
        (
            "{node_affinity: [{key: k, operator: Exists, values: [a]}]}",
            "k: got ['a']; Exists expects no values",
        ),
        (
            "{node_affinity: [{key: k, operator: Gt, values: [many]}]}",
            "k: got ['many']; Gt expects one whole number as text",
        ),
        ("{node_affinity: [{key: k, values: [a], weight: 101}]}", "weight: got 101"),
        ("{ephemeral_volumes: [{name: a, mount: /x}]}", "ephemeral_volumes.0.size: Field required"),
        (
            "{ephemeral_volumes: [{name: a, mount: /x, size: 1Gi, access_modes: []}]}",
            "access_modes: got none; expected one such as ReadWriteOnce",
        ),
        (
            "{ephemeral_volumes: [{name: a, mount: /x, size: 1Gi, access_modes: [ReadOnce]}]}",
            "got 'ReadOnce'; did you mean 'ReadWriteOnce'?",
        ),
        (
            "{ephemeral_volumes: [{name: a, mount: /x, size: 1Gi, storage_clas: b}]}",
            "storage_clas: unknown field; did you mean 'storage_class'?",
        ),
        (
            "{ephemeral_volumes: [{name: a, mount: /x, size: 1Gi, storage_class: ''}]}",
            "storage_class: got ''",
        ),
        (
            "{fields: {NODE: spec.nodename}}",
            "fields.NODE: got 'spec.nodename'; did you mean 'spec.",
        ),
        ("{fields: {TEAM: metadata.labels}}", "fields.TEAM: got 'metadata.labels'"),
        ("{retries: {time: 1}}", "retries.time: unknown field; did you mean 'times'?"),
        ("{retries: {times: 101}}", "retries.times: got 101"),
        ("{retries: {times: 1, factor: 0.5}}", "retries.factor: got 0.5"),
        ("{labels: {pipeline/runid: a}}", "pipeline/runid: by it KFP or a network policy knows"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(said: str, sentence: str) -> None:
    with pytest.raises(UserError) as error:
        every(said)

    assert sentence in str(error.value)
    assert str(error.value).startswith("site my-site.yaml: pods.every")


@pytest.mark.parametrize(
    ("text", "bytes_"),
    [
        ("512", 512.0),
        ("1.5G", 1.5e9),
        ("2Gi", 2.0**31),
        ("3k", None),
        ("3K", None),
        ("4GB", None),
        ("", None),
    ],
)
def test_a_size_is_read_as_kubernetes_reads_it(text: str, bytes_: float | None) -> None:
    assert pods.size(text) == bytes_


@pytest.mark.parametrize(
    ("text", "number"), [("2", 2.0), ("500m", 0.5), ("0.25", 0.25), ("2 ", None), ("m", None)]
)
def test_cores_are_read_as_kubernetes_reads_them(text: str, number: float | None) -> None:
    assert pods.cores(text) == number


def test_no_site_can_give_a_label_by_which_a_network_policy_knows_pods() -> None:
    policies = sorted((ROOT / "manifests" / "network").glob("networkpolicy-*.yaml"))
    keys = {key for path in policies for key in _selected(yaml.safe_load(path.read_text()))}

    assert {"component", "pipelines.kubeflow.org/v2_component"} <= keys
    assert not pods.is_selected("application")
    assert sorted(key for key in keys if not pods.is_selected(key)) == []


def _selected(thing: Any) -> Iterator[str]:
    """Yield each label that a selector of pods looks at."""
    match thing:
        case {"podSelector": selector}:
            yield from selector.get("matchLabels", {})
            yield from (one["key"] for one in selector.get("matchExpressions", []))
    inner = thing.values() if isinstance(thing, dict) else thing if isinstance(thing, list) else []
    for one in inner:
        yield from _selected(one)


def test_demands_on_nodes_add_up_and_a_variable_said_more_closely_wins() -> None:
    said = """
pods:
  every:
    node_affinity: [{key: pool, values: [batch]}]
    fields: {AT: metadata.namespace}
  steps:
    validate:
      node_affinity: [{key: disk, operator: Exists}]
      fields: {AT: spec.nodeName}
"""
    pod = site(said).pods.of("validate", family="data")

    assert [one.key for one in pod.node_affinity] == ["pool", "disk"]
    assert pod.fields == {"AT": "spec.nodeName"}


def test_nothing_said_is_nothing_given() -> None:
    assert Pods().of("validate", family="data") == Pod()
