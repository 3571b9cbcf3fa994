"""What is said of pods, as kfp compiles it in silence, is found by the linter."""

import pathlib
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from kfp import compiler, dsl, kubernetes

from components.face import component
from components.foundation.site import Site
from pipelines import compiled, linter
from pipelines.place import Place
from pipelines.project import load

ROOT = pathlib.Path(__file__).parents[2]
CLUSTER = (ROOT / "pipelines/sites/cluster.yaml").read_text()

Say = Callable[[Any], Any]


@component("data")
def act() -> None:
    print("acts")


def findings(say: Say, folder: pathlib.Path) -> list[linter.Finding]:
    """What is found in a pipeline of one task of which something is said."""

    @dsl.pipeline(name="one")
    def one(amount: str = "1") -> None:
        say(act())

    compiler.Compiler().compile(one, str(folder / "one.yaml"))
    return linter.lint(folder / "one.yaml")


def rules(say: Say, folder: pathlib.Path) -> set[str]:
    return {one.rule for one in findings(say, folder)}


def devices(kind: str | None) -> Say:
    def say(task: Any) -> None:
        task.set_accelerator_limit(1)
        if kind is not None:
            task.set_accelerator_type(kind)

    return say


@pytest.mark.parametrize("kind", [None, "", "gpu", "NVIDIA_TESLA_V100", "nvidia.com/"])
def test_finds_a_limit_of_devices_without_a_type_that_a_node_has(
    kind: str | None, tmp_path: pathlib.Path
) -> None:
    assert rules(devices(kind), tmp_path) == {"accelerator"}


def test_devices_of_a_type_that_nodes_have_are_good(tmp_path: pathlib.Path) -> None:
    assert findings(devices("nvidia.com/gpu"), tmp_path) == []


def test_finds_a_request_beyond_its_limit(tmp_path: pathlib.Path) -> None:
    (found,) = findings(lambda t: t.set_memory_request("4G").set_memory_limit("2Gi"), tmp_path)

    assert found.rule == "quantity"
    assert "asks for more memory than its limit" in found.what


@pytest.mark.parametrize(
    ("name", "text"), [("resourceCpuLimit", "two"), ("resourceMemoryRequest", "4GB")]
)
def test_finds_an_amount_that_is_none(name: str, text: str, tmp_path: pathlib.Path) -> None:
    findings(lambda task: task.set_cpu_limit("2"), tmp_path)
    whole = yaml.safe_load((tmp_path / "one.yaml").read_text())
    whole["deploymentSpec"]["executors"]["exec-act"]["container"]["resources"] = {name: text}

    (found,) = linter.lint(whole)
    assert found.rule == "quantity"
    assert repr(text) in found.what


def test_an_amount_that_comes_at_run_time_is_good(tmp_path: pathlib.Path) -> None:
    @dsl.pipeline(name="one")
    def one(amount: str = "1") -> None:
        act().set_cpu_limit(amount).set_accelerator_limit(1).set_accelerator_type(amount)

    compiler.Compiler().compile(one, str(tmp_path / "one.yaml"))

    assert linter.lint(tmp_path / "one.yaml") == []


@pytest.mark.parametrize(
    ("size", "rule"),
    [(None, "memory-volume"), ("2Gi", "memory-volume"), ("much", "quantity")],
    ids=["no size", "all there is", "no amount"],
)
def test_finds_a_folder_in_memory_that_leaves_nothing(
    size: str | None, rule: str, tmp_path: pathlib.Path
) -> None:
    def say(task: Any) -> None:
        task.set_memory_limit("2G")
        kubernetes.empty_dir_mount(task, "shm", "/mnt/shm", "Memory", size)

    assert rules(say, tmp_path) == {rule}


@pytest.mark.parametrize(
    "path", ["/mnt/a", "data", "/", "/a/../b", "/s3", "/s3/bucket"], ids=lambda path: path
)
def test_finds_a_path_that_is_taken_or_is_none(path: str, tmp_path: pathlib.Path) -> None:
    def say(task: Any) -> None:
        kubernetes.mount_pvc(task, "one", path)
        kubernetes.use_secret_as_volume(task, "two", "/mnt/a")

    assert rules(say, tmp_path) == {"mounted-twice"}


def test_finds_a_variable_that_is_set_twice(tmp_path: pathlib.Path) -> None:
    def say(task: Any) -> None:
        kubernetes.use_secret_as_env(task, "one", {"a": "TOKEN_FILE"})
        kubernetes.use_config_map_as_env(task, "two", {"a": "TOKEN_FILE", "b": "B"})

    (found,) = findings(say, tmp_path)
    assert (found.rule, found.what) == ("variable-twice", "sets TOKEN_FILE 2 times")


def test_finds_a_variable_that_is_set_by_the_step_as_well(tmp_path: pathlib.Path) -> None:
    def say(task: Any) -> None:
        task.set_env_variable("HOME", "/mnt")
        kubernetes.use_field_path_as_env(task, "HOME", "metadata.name")

    assert rules(say, tmp_path) == {"variable-twice"}


@pytest.mark.parametrize(
    "who", [{"run_as_user": 0}, {"run_as_non_root": False}], ids=["user 0", "may be root"]
)
def test_finds_a_step_that_may_be_root(who: dict[str, Any], tmp_path: pathlib.Path) -> None:
    assert rules(lambda t: kubernetes.set_security_context(t, **who), tmp_path) == {"runs-as-root"}


@pytest.mark.parametrize(
    "said",
    [
        {"key": "k", "operator": "Exists", "value": "v"},
        {"operator": "Equal", "value": "v"},
        {"key": "k", "operator": "Exists", "effect": "NoSchedule", "toleration_seconds": 5},
    ],
    ids=["value", "no key", "seconds"],
)
def test_finds_a_toleration_that_the_api_server_refuses(
    said: dict[str, Any], tmp_path: pathlib.Path
) -> None:
    assert rules(lambda task: _tolerate(task, said), tmp_path) == {"toleration"}


def _tolerate(task: Any, said: dict[str, Any]) -> None:
    """Write a toleration that kfp itself might refuse to write."""
    names = {"toleration_seconds": "tolerationSeconds"}
    settings = task.platform_config.setdefault("kubernetes", {})
    settings["tolerations"] = [{names.get(key, key): value for key, value in said.items()}]


@pytest.mark.parametrize(
    "say",
    [
        lambda task: kubernetes.add_pod_label(task, "bad key", "x"),
        lambda task: kubernetes.add_pod_label(task, "good", "bad value"),
        lambda task: kubernetes.add_pod_annotation(task, "bad key", "any text"),
        lambda task: kubernetes.add_node_selector(task, "zone/", "a"),
        lambda task: kubernetes.add_node_selector(task, "zone", "a b"),
        lambda task: kubernetes.add_toleration(task, "a b", "Exists"),
        lambda task: kubernetes.set_image_pull_secrets(task, ["UPPER"]),
        lambda task: kubernetes.mount_pvc(task, "UPPER", "/mnt"),
        lambda task: kubernetes.empty_dir_mount(task, "a.b", "/mnt"),
    ],
    ids=["label", "label value", "annotation", "selector", "selector value", "taint", "pull",
         "claim", "volume"],
)  # fmt: skip
def test_finds_a_name_that_the_api_server_refuses(say: Say, tmp_path: pathlib.Path) -> None:
    assert rules(say, tmp_path) == {"kubernetes-name"}


def test_what_a_site_may_say_has_no_findings(tmp_path: pathlib.Path) -> None:
    assert _of_site(tmp_path, "labels: {example.com/team: a}, memory: 8G, cpu: 4") == []


@pytest.mark.parametrize(
    ("said", "rule"),
    [
        ("cpu_request: 8", "quantity"),
        ("empty_dirs: [{name: shm, mount: /dev/shm, medium: Memory, size: 2G}]", "memory-volume"),
        ("secrets: [{name: mine, env: {a: AWS_REGION}}]", "variable-twice"),
        ("claims: [{name: mine, mount: /s3/x}]", "mounted-twice"),
    ],
)
def test_what_a_site_says_at_odds_with_the_pipeline_is_found(
    said: str, rule: str, tmp_path: pathlib.Path
) -> None:
    (found,) = _of_site(tmp_path, said)

    assert found.rule == rule
    assert "exec-ingest-objects" in found.where


def _of_site(folder: pathlib.Path, said: str) -> list[linter.Finding]:
    place = Place(Site.parse(f"{CLUSTER}\npods: {{every: {{{said}}}}}\n"))
    path = folder / "collection.yaml"
    built = compiled.pipeline("collection", load(ROOT / "examples/flights"), place)
    compiler.Compiler().compile(built, str(path))
    return linter.lint(path)


def node(*expressions: tuple[str, str, list[str]], weight: int | None = None) -> Say:
    said = [{"key": key, "operator": how, "values": values} for key, how, values in expressions]
    return lambda task: kubernetes.add_node_affinity(task, said, weight=weight)


@pytest.mark.parametrize(
    "expression",
    [("k", "In", []), ("k", "Exists", ["a"]), ("k", "Gt", ["many"]), ("k", "Lt", ["1", "2"])],
    ids=str,
)
def test_finds_a_demand_on_nodes_that_the_api_server_refuses(
    expression: tuple[str, str, list[str]], tmp_path: pathlib.Path
) -> None:
    assert rules(node(expression), tmp_path) == {"affinity"}


def test_finds_demands_of_which_any_one_is_enough(tmp_path: pathlib.Path) -> None:
    def say(task: Any) -> None:
        node(("pool", "In", ["a"]))(task)
        node(("disk", "Exists", []))(task)

    (found,) = findings(say, tmp_path)
    assert "any one is enough" in found.what


def test_a_demand_and_wishes_are_good(tmp_path: pathlib.Path) -> None:
    def say(task: Any) -> None:
        node(("pool", "In", ["a"]), ("disk", "Exists", []))(task)
        node(("zone", "In", ["a"]), weight=5)(task)
        node(("zone", "In", ["b"]), weight=1)(task)

    assert findings(say, tmp_path) == []


def test_finds_a_label_of_nodes_that_cannot_be(tmp_path: pathlib.Path) -> None:
    assert rules(node(("bad key", "Exists", [])), tmp_path) == {"kubernetes-name"}


def test_finds_a_size_of_a_claimed_volume_that_ends_kfps_driver(tmp_path: pathlib.Path) -> None:
    def say(task: Any) -> None:
        kubernetes.add_ephemeral_volume(task, "s", "/s", ["ReadWriteOnce"], "64K")

    (found,) = findings(say, tmp_path)
    assert (found.rule, "'64K' of s" in found.what) == ("quantity", True)
