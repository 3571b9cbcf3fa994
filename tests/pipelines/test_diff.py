"""What changed since the release, in the words of who calls a pipeline and of who runs it."""

import copy
import pathlib
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from components.foundation.errors import UserError
from pipelines import diff
from pipelines.ir import Compiled

GOLDENS = pathlib.Path(__file__).parents[1] / "golden"
DEPLOYMENT = GOLDENS / "pipelines" / "deployment.yaml"
NAME = "flights-deployment"

Whole = dict[str, Any]
Edit = Callable[[Whole], object]


def whole() -> Whole:
    """A released pipeline, as one mapping."""
    documents = yaml.load_all(DEPLOYMENT.read_text(), Loader=yaml.CSafeLoader)
    return {key: value for document in documents for key, value in document.items()}


RELEASED = whole()


def changes(edit: Edit) -> list[diff.Change]:
    """What is said of an edit."""
    now = copy.deepcopy(RELEASED)
    edit(now)
    return list(diff.one(Compiled.read(RELEASED), Compiled.read(now)))


def parameters(one: Whole) -> Whole:
    found: Whole = one["root"]["inputDefinitions"]["parameters"]
    return found


def tasks(one: Whole) -> Whole:
    found: Whole = one["root"]["dag"]["tasks"]
    return found


def container(one: Whole) -> Whole:
    found: Whole = one["deploymentSpec"]["executors"]["exec-deploy"]["container"]
    return found


def pod(one: Whole) -> Whole:
    spec = one["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-deploy"]
    found: Whole = spec
    return found


def outputs(kind: str, name: str) -> Edit:
    """Give the pipeline an output."""
    artifact = {"artifactType": {"schemaTitle": "system.Model", "schemaVersion": "0.0.1"}}
    one = {"parameterType": "STRING"} if kind == "parameters" else artifact
    return lambda whole: whole["root"].update(outputDefinitions={kind: {name: one}})


def test_what_was_released_has_not_changed() -> None:
    assert changes(lambda one: None) == []


# callers


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda one: parameters(one).pop("alpha"), "parameter alpha is gone; who gives it is ref"),
        (
            lambda one: parameters(one).update(region={"parameterType": "STRING"}),
            "the parameter region is new and has no default",
        ),
        (
            lambda one: parameters(one)["alpha"].update(parameterType="STRING"),
            "the parameter alpha is STRING, was NUMBER_DOUBLE",
        ),
        (
            lambda one: parameters(one).update(alpha={"parameterType": "NUMBER_DOUBLE"}),
            "the parameter alpha has lost its default",
        ),
        (
            lambda one: one["root"]["inputDefinitions"].update(
                artifacts={"alpha": {"artifactType": {"schemaTitle": "system.Model"}}}
            ),
            "the input artifact alpha is new and has no default",
        ),
    ],
    ids=["removed", "new without default", "retyped", "default lost", "new artifact"],
)
def test_what_breaks_a_caller_has_a_name(edit: Edit, words: str) -> None:
    breaks = [one for one in changes(edit) if one.breaks]

    assert {one.breaks for one in breaks} <= {f"{NAME}.alpha", f"{NAME}.region"}
    assert any(words in one.what for one in breaks)
    assert str(breaks[0]).startswith("breaks   ")
    assert str(breaks[0]).endswith(f"[{breaks[0].breaks}]")


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (
            lambda one: parameters(one).update(
                region={"parameterType": "STRING", "isOptional": True, "defaultValue": "uae"}
            ),
            'the parameter region is new: STRING, "uae"',
        ),
        (
            lambda one: parameters(one)["alpha"].update(defaultValue=0.01),
            "the default of parameter alpha: 0.05 -> 0.01",
        ),
        (
            lambda one: parameters(one)["release"].update(defaultValue="x" * 5000),
            '-> "xxxx',
        ),
        (outputs("parameters", "score"), "the output score is new: STRING"),
        (outputs("artifacts", "model"), "the output artifact model is new: system.Model 0.0.1"),
    ],
    ids=["with default", "default", "long default", "output", "artifact"],
)
def test_what_a_caller_need_not_know_breaks_nothing(edit: Edit, words: str) -> None:
    (found,) = changes(edit)

    assert words in found.what
    assert found.breaks == ""
    assert len(found.what) < 200


@pytest.mark.parametrize("kind", ["parameters", "artifacts"])
def test_an_output_that_is_gone_breaks_who_nests_the_pipeline(kind: str) -> None:
    before = copy.deepcopy(RELEASED)
    outputs(kind, "score")(before)

    (found,) = diff.one(Compiled.read(before), Compiled.read(RELEASED))
    assert found.breaks == f"{NAME}.score"


def test_an_output_of_another_type_breaks_who_nests_the_pipeline() -> None:
    before, now = copy.deepcopy(RELEASED), copy.deepcopy(RELEASED)
    outputs("parameters", "score")(before)
    outputs("parameters", "score")(now)
    now["root"]["outputDefinitions"]["parameters"]["score"]["parameterType"] = "LIST"

    (found,) = diff.one(Compiled.read(before), Compiled.read(now))
    assert found == diff.Change("the output score is LIST, was STRING", f"{NAME}.score")


# runs


def secret(name: str, key: str) -> Whole:
    return {"secretName": name, "keyToEnv": [{"secretKey": key, "envVar": key}]}


def _another(one: Whole) -> None:
    """Put a gate between others, so that kfp numbers them anew."""
    new = copy.deepcopy(tasks(one)["gate"])
    new["taskInfo"]["name"] = "Gate on approval"
    tasks(one)["gate-3"] = tasks(one).pop("gate-2")
    tasks(one)["gate-2"] = new
    tasks(one)["register"]["dependentTasks"] = ["deploy", "gate-3"]


RUNS: dict[str, tuple[Edit, list[str]]] = {
    "image": (
        lambda one: container(one).update(image="registry.example/data@sha256:1"),
        ["step Deploy dark: image registry.falaj.example/falaj/release@sha256:"],
    ),
    "code": (
        lambda one: container(one).update(args=["other"]),
        ["step Deploy dark: runs other code"],
    ),
    "step gone": (
        lambda one: tasks(one).pop("register"),
        ["the step is gone: Register as champion"],
    ),
    "step between": (_another, ["the step is new: Gate on approval"]),
    "order": (
        lambda one: tasks(one)["roll-out"].update(dependentTasks=["deploy"]),
        [
            "step Roll out: no longer waits for Gate on readiness",
            "step Roll out: now waits for Deploy dark",
        ],
    ),
    "argument": (
        lambda one: tasks(one)["register"]["inputs"]["parameters"].update(
            channel={"runtimeValue": {"constant": "candidate"}}
        ),
        ["step Register as champion: is given another channel"],
    ),
    "argument gone": (
        lambda one: tasks(one)["register"]["inputs"]["parameters"].pop("reason"),
        ["step Register as champion: is no longer given reason"],
    ),
    "secret": (
        lambda one: pod(one).setdefault("secretAsVolume", []).append({"secretName": "ca"}),
        ["step Deploy dark: now reads Secret ca as files"],
    ),
    "secret gone": (
        lambda one: pod(one).update(secretAsEnv=[]),
        ["step Deploy dark: no longer reads Secret falaj-object-store as variables"],
    ),
    "keys of a secret": (
        lambda one: pod(one).update(secretAsEnv=[secret("falaj-object-store", "A")]),
        ["step Deploy dark: reads otherwise Secret falaj-object-store as variables"],
    ),
    "secret twice": (
        lambda one: pod(one)["secretAsEnv"].insert(0, secret("falaj-object-store", "A")),
        ["step Deploy dark: reads otherwise Secret falaj-object-store as variables"],
    ),
    "path of a secret": (
        lambda one: pod(one)["secretAsVolume"][0].update(mountPath="/elsewhere"),
        ["step Deploy dark: reads otherwise Secret falaj-keys as files"],
    ),
    "secret that need not be there": (
        lambda one: pod(one)["secretAsVolume"][0].update(optional=True),
        ["step Deploy dark: reads otherwise Secret falaj-keys as files"],
    ),
    "start": (
        lambda one: tasks(one)["register"].update(
            triggerPolicy={"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
        ),
        ["step Register as champion: start none -> ALL_UPSTREAM_TASKS_COMPLETED"],
    ),
    "waiting": (
        lambda one: tasks(one)["deploy"].update(retryPolicy={"backoffDuration": "99s"}),
        ["step Deploy dark: other waiting between retries"],
    ),
    "turns of a loop": (
        lambda one: tasks(one)["deploy"].update(iteratorPolicy={"parallelismLimit": 2}),
        ["step Deploy dark: turns at one time none -> 2"],
    ),
    "import": (
        lambda one: one["deploymentSpec"]["executors"]["exec-deploy"].update(
            importer={"artifactUri": {"constant": "s3://a/b"}}
        ),
        ["step Deploy dark: other import"],
    ),
    "condition": (
        lambda one: tasks(one)["register"].update(triggerPolicy={"condition": "false"}),
        ["step Register as champion: condition none -> false"],
    ),
    "caching": (
        lambda one: tasks(one)["deploy"].update(cachingOptions={"enableCache": True}),
        ["step Deploy dark: cached False -> True"],
    ),
    "memory": (
        lambda one: container(one)["resources"].update(resourceMemoryLimit="3G"),
        ["step Deploy dark: memory limit 2G -> 3G"],
    ),
    "devices": (
        lambda one: container(one)["resources"].update(
            accelerator={"resourceType": "nvidia.com/gpu", "resourceCount": "1"}
        ),
        ["step Deploy dark: accelerators none -> 1 nvidia.com/gpu"],
    ),
    "user": (
        lambda one: pod(one).update(securityContext={"runAsUser": "1"}),
        ["step Deploy dark: other security context"],
    ),
    "setting without a word": (
        lambda one: pod(one).update(podAffinity=[{"topologyKey": "zone"}]),
        ["step Deploy dark: other podAffinity"],
    ),
    "root": (
        lambda one: one.update(defaultPipelineRoot="s3://falaj-runs/other"),
        ["the pipeline's root is another"],
    ),
    "workspace": (
        lambda one: one["platforms"]["kubernetes"].update(pipelineConfig={"workspace": {}}),
        ["the pipeline's workspace or lifetime is another"],
    ),
}


@pytest.mark.parametrize(("edit", "words"), RUNS.values(), ids=list(RUNS))
def test_what_a_run_does_otherwise_is_said_and_breaks_nobody(edit: Edit, words: list[str]) -> None:
    found = changes(edit)

    assert len(found) == len(words), found
    for one, beginning in zip(found, words, strict=True):
        assert one.what.startswith(beginning)
        assert one.breaks == ""


def test_what_is_so_of_every_step_is_said_once() -> None:
    def edit(one: Whole) -> None:
        for pod in one["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
            pod["podMetadata"] = {"labels": {"team": "a"}}

    assert [one.what for one in changes(edit)] == ["every step: other labels or annotations"]


def test_a_step_inside_of_a_condition_is_found_by_the_way_to_it() -> None:
    def nested(image: str) -> Compiled:
        inner = {"act": {"componentRef": {"name": "comp-act"}, "taskInfo": {"name": "Act"}}}
        outer = {"condition-1": {"componentRef": {"name": "comp-if"}}}
        components = {"comp-act": {"executorLabel": "e"}, "comp-if": {"dag": {"tasks": inner}}}
        executors = {"e": {"container": {"image": image}}}
        return Compiled.read(
            {
                "pipelineInfo": {"name": "p"},
                "root": {"dag": {"tasks": outer}},
                "components": components,
                "deploymentSpec": {"executors": executors},
            }
        )

    (found,) = diff.one(nested("a"), nested("b"))
    assert found.what == "step condition-1 / Act: image a -> b"


# files and folders


def test_a_pipeline_that_is_gone_breaks_who_schedules_it_and_a_new_one_nobody() -> None:
    old, new = Compiled.read(RELEASED), Compiled.read({**RELEASED, "pipelineInfo": {"name": "b"}})

    found = dict(diff.compare({old.pipeline: old}, {new.pipeline: new}))
    assert [one.breaks for one in found[NAME]] == [NAME]
    assert [str(one) for one in found["b"]] == ["changes  is new"]


def test_the_goldens_are_read_by_the_names_that_kfp_knows() -> None:
    found = diff.read(GOLDENS / "pipelines")

    assert NAME in found
    assert len(found) == len(list((GOLDENS / "pipelines").glob("*.yaml")))


def test_one_released_file_is_compared_with_its_like_alone() -> None:
    files = sorted((GOLDENS / "pipelines").glob("*.yaml"))

    released, now = diff.both(DEPLOYMENT, files)
    assert list(released) == list(now) == [NAME]
    assert list(diff.compare(released, now)) == []


def test_objects_for_kubernetes_beside_the_released_files_are_passed_over(
    tmp_path: pathlib.Path,
) -> None:
    (tmp_path / "deployment.yaml").write_text(DEPLOYMENT.read_text())
    (tmp_path / "object.yaml").write_text("apiVersion: v1\nkind: Pipeline\n")

    assert list(diff.read(tmp_path)) == [NAME]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "no such file or folder"),
        ("", "not a compiled pipeline"),
        ("a: [", "not YAML"),
        ("kind: Pipeline", "not a compiled pipeline"),
        ("pipelineInfo: x\nroot: {}\n", "not a compiled pipeline"),
        ("pipelineInfo: {description: x}\nroot: {}\n", "pipelineInfo with a name"),
    ],
    ids=["missing", "empty", "not YAML", "an object", "a text", "no name"],
)
def test_what_is_no_released_pipeline_is_refused(
    text: str | None, sentence: str, tmp_path: pathlib.Path
) -> None:
    path = tmp_path / "released.yaml"
    if text is not None:
        path.write_text(text)

    with pytest.raises(UserError, match=sentence):
        diff.read(path)


def test_an_empty_folder_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(UserError, match="holds no compiled pipeline"):
        diff.read(tmp_path)


def test_what_is_no_text_is_refused_and_named(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "released.yaml"
    path.write_bytes(b"\xff\xfe")

    with pytest.raises(UserError, match=r"released.yaml: UnicodeDecodeError; name a file"):
        diff.read(path)


def test_two_files_of_one_name_are_refused_and_both_named(tmp_path: pathlib.Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(DEPLOYMENT.read_text())

    with pytest.raises(UserError, match=rf"b.yaml: is named {NAME}, as .*a.yaml is"):
        diff.read(tmp_path)
