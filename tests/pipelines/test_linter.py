"""Each rule of the linter passes a good specimen and finds a bad one, compiled by kfp."""

import pathlib
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import yaml
from kfp import compiler, dsl, kubernetes

from components.face import component, images
from components.foundation.errors import UserError
from pipelines import linter
from pipelines.linter import whole

Write = Callable[[Any], pathlib.Path]


def pipeline(**arguments: Any) -> Callable[[Callable[..., None]], Any]:
    """Give kfp's decorator a type."""
    return dsl.pipeline(**arguments)  # type: ignore[no-any-return]


def loosely(**arguments: Any) -> Callable[[Callable[..., None]], Any]:
    """Make a component as kfp does by itself, not as components.face does."""
    return dsl.component(**arguments)  # type: ignore[no-any-return]


@component("data")
def judge(level: str = "high") -> NamedTuple("Outputs", [("passed", bool), ("why", str)]):  # type: ignore[valid-type]
    """Judge; a message may say: pip install 'falaj[data]'."""
    # Nor does a comment that says pip install make a finding.
    return (True, level)


@component("data")
def decide() -> bool:
    return True


@component("data")
def act(text: str = "") -> None:
    print(text)


@pytest.fixture
def write(tmp_path: pathlib.Path) -> Write:
    def compile_(thing: Any) -> pathlib.Path:
        path = tmp_path / "compiled.yaml"
        compiler.Compiler().compile(thing, str(path))
        return path

    return compile_


def rules(path: pathlib.Path) -> set[str]:
    return {finding.rule for finding in linter.lint(path)}


def one_step(text: str = "", name: str = "good", **arguments: Any) -> Any:
    @pipeline(name=name, **arguments)
    def good() -> None:
        act(text=text)

    return good


@pytest.mark.parametrize("thing", [judge, decide, act, one_step()], ids=lambda one: one.name)
def test_what_is_made_as_we_make_it_has_no_findings(write: Write, thing: Any) -> None:
    assert linter.lint(write(thing)) == []


def test_a_finding_says_where_what_and_what_to_do(write: Write) -> None:
    @loosely(base_image="python:3.11", install_kfp_package=False)
    def loose() -> None:
        pass

    (finding,) = linter.lint(write(loose))

    assert "exec-loose" in str(finding)
    assert "'python:3.11'" in str(finding)
    assert "@sha256" in str(finding)
    assert "[floating-image]" in str(finding)


def test_finds_pip_at_the_start_of_a_component(write: Write) -> None:
    @loosely(base_image=images()["data"], packages_to_install=["numpy"])
    def installs() -> None:
        pass

    assert rules(write(installs)) == {"pip-at-start"}


def test_finds_kfp_itself_installed_at_start(write: Write) -> None:
    @loosely(base_image=images()["data"])
    def installs_kfp() -> None:
        pass

    assert rules(write(installs_kfp)) == {"pip-at-start"}


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (["pip", "install", "numpy"], []),
        (["python", "-m", "pip"], ["install", "-r", "list"]),
        (["sh", "-c"], ["apt-get update && apt-get -y install curl"]),
        (["uv", "pip", "install"], ["numpy"]),
        (["pip", "--no-cache-dir", "install"], ["numpy"]),
    ],
    ids=lambda words: " ".join(words) or "no more",
)
def test_finds_what_is_installed_by_words_of_a_command(
    command: list[str], arguments: list[str], write: Write
) -> None:
    @dsl.container_component
    def installs() -> dsl.ContainerSpec:
        return dsl.ContainerSpec(image=images()["data"], command=command, args=arguments)

    assert rules(write(installs)) == {"pip-at-start"}


def test_what_a_component_says_of_pip_when_it_fails_is_good(write: Write) -> None:
    @component("data")
    def fails() -> None:
        raise RuntimeError("onnx is not here; pip install falaj[onnx], and build the image anew")

    assert rules(write(fails)) == set()


def test_finds_pip_called_by_the_body_of_a_component(write: Write) -> None:
    @component("data")
    def calls_pip() -> None:
        import subprocess
        import sys

        subprocess.run([sys.executable, "-m", "pip", "install", "numpy"], check=True)

    assert rules(write(calls_pip)) == {"pip-at-start"}


@pytest.mark.parametrize(
    "image", ["python", "python:3.11", "python:latest", "python@sha256:12", "{{$.inputs.x}}", ""]
)
def test_finds_an_image_without_a_digest(write: Write, image: str) -> None:
    @pipeline(name="floating")
    def floating() -> None:
        act().set_container_image(image)

    assert rules(write(floating)) == {"floating-image"}


def test_finds_an_image_that_is_not_in_the_lock(write: Write) -> None:
    @pipeline(name="stranger")
    def stranger() -> None:
        act().set_container_image(f"docker.io/library/python@sha256:{'a' * 64}")

    assert rules(write(stranger)) == {"unlocked-image"}


def test_finds_an_if_without_else_on_a_named_output(write: Write) -> None:
    @pipeline(name="bare")
    def bare() -> None:
        judged = judge()
        with dsl.If(judged.outputs["passed"] == True):  # noqa: E712 - kfp builds it from ==
            act()

    (finding,) = linter.lint(write(bare))

    assert finding.rule == "bare-condition"
    assert "'passed'" in finding.what


def test_finds_an_elif_without_else_on_a_named_output(write: Write) -> None:
    @pipeline(name="elif")
    def bare() -> None:
        judged = judge()
        with dsl.If(judged.outputs["passed"] == True):  # noqa: E712 - kfp builds it from ==
            act()
        with dsl.Elif(judged.outputs["why"] == "a (b) ! && c"):
            act()

    assert rules(write(bare)) == {"bare-condition"}


def test_finds_a_bare_if_inside_a_loop(write: Write) -> None:
    @pipeline(name="loop")
    def bare() -> None:
        judged = judge()
        with dsl.ParallelFor(["a", "b"]), dsl.If(judged.outputs["why"] == "x"):
            act()

    assert rules(write(bare)) == {"bare-condition"}


def test_a_condition_with_an_else_or_on_an_unnamed_output_is_good(write: Write) -> None:
    @pipeline(name="good-conditions")
    def good(wanted: bool = True) -> None:
        judged = judge()
        with dsl.If(judged.outputs["passed"] == True):  # noqa: E712 - kfp builds it from ==
            act()
        with dsl.Elif(judged.outputs["why"] == "x"):
            act()
        with dsl.Else():
            act()
        with dsl.If(decide().output == True):  # noqa: E712 - kfp builds it from ==
            act()
        with dsl.If(wanted == True):  # noqa: E712 - kfp builds it from ==
            act()

    assert linter.lint(write(good)) == []


def test_finds_an_illegal_name_of_a_secret(write: Write) -> None:
    @pipeline(name="secrets")
    def secrets() -> None:
        kubernetes.use_secret_as_env(act(), "UPPER_bad_name", {"a": "A"})

    (finding, *_) = linter.lint(write(secrets))

    assert finding.rule == "kubernetes-name"
    assert "'UPPER_bad_name'" in finding.what


def test_finds_an_illegal_environment_name(write: Write) -> None:
    @pipeline(name="environment")
    def environment() -> None:
        kubernetes.use_config_map_as_env(act(), "config", {"a": "not-legal"})

    assert rules(write(environment)) == {"kubernetes-name"}


def test_finds_a_pipeline_name_that_is_too_long(write: Write) -> None:
    assert rules(write(one_step(name="a" * 64))) == {"kubernetes-name"}


def test_legal_names_are_good(write: Write) -> None:
    @pipeline(name="names")
    def names(secret: str = "") -> None:
        task = act()
        kubernetes.use_secret_as_env(task, "falaj-object-store", {"key": "AWS_ACCESS_KEY_ID"})
        kubernetes.use_secret_as_volume(task, secret, mount_path="/keys")
        kubernetes.use_config_map_as_env(task, "falaj-site", {"AWS_REGION": "AWS_REGION"})
        kubernetes.use_field_path_as_env(task, "FALAJ_RUN_ID", "metadata.labels['pipeline/runid']")
        kubernetes.mount_pvc(task, "work", "/work")
        kubernetes.add_pod_label(task, "app", "falaj_1.0")

    assert linter.lint(write(names)) == []


def test_finds_a_file_over_its_budget(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(one_step())
    monkeypatch.setattr(whole, "SIZE_LIMIT", path.stat().st_size - 1)

    assert rules(path) == {"size-budget"}
    monkeypatch.setattr(whole, "SIZE_LIMIT", path.stat().st_size)
    assert rules(path) == set()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("password", "hunter2"),
        ("database_password", "x"),
        ("api_key", "abc"),
        ("AWS_SECRET_ACCESS_KEY", "abc"),
        ("token", "abc"),
        ("credentials", "abc"),
        ("connection", "postgresql://falaj:pw@db.example/flights"),
        ("connection", "jdbc:postgresql://falaj:pw@db.example/flights"),
        ("connection", "redis://:pw@redis.example:6379"),
        ("text", "from postgresql://falaj:pw@db.example/flights on"),
        ("text", "-----BEGIN PRIVATE KEY-----"),
        ("text", "AKIAIOSFODNN7EXAMPLE"),
    ],
)
def test_finds_what_looks_like_a_secret(write: Write, name: str, value: str) -> None:
    @pipeline(name="leaky")
    def leaky() -> None:
        act().set_env_variable(name, value)

    assert rules(write(leaky)) == {"secret-default"}


def test_finds_secrets_in_defaults_and_in_constants(write: Write) -> None:
    @pipeline(name="leaky")
    def leaky(password: str = "hunter2") -> None:  # noqa: S107 - the specimen
        act(text=password)
        act(text="postgresql://falaj:pw@db.example/flights")

    found = [finding.where for finding in linter.lint(write(leaky))]

    assert len(found) == 2
    assert any("root.password" in where for where in found)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("password", ""),
        ("secret_name", "falaj-keys"),
        ("key", "id"),
        ("keys", "id,date"),
        ("tokens", "128"),
        ("next_page_token", "start"),
        ("stop_token", "."),
        ("token", "{{$.inputs.parameters['text']}}"),
        ("connection", "postgresql://db.example/flights"),
        ("table", "s3://falaj-raw/flights@7"),
    ],
)
def test_what_only_resembles_a_secret_is_good(write: Write, name: str, value: str) -> None:
    @pipeline(name="clean")
    def clean() -> None:
        act().set_env_variable(name, value)

    assert linter.lint(write(clean)) == []


def test_finds_a_secret_within_a_default_of_many_parts(write: Write) -> None:
    @component("data")
    def connect(settings: dict) -> None:  # type: ignore[type-arg]  # as KFP writes it
        print(settings)

    parts = {"hosts": ["redis://:pw@redis.example"], "user": {"name": "a", "password": "hunter2"}}

    @pipeline(name="leaky")
    def leaky() -> None:
        connect(settings=parts)

    found = [finding.where.rpartition(" ")[2] for finding in linter.lint(write(leaky))]
    assert found == ["root.connect.settings.hosts", "root.connect.settings.user.password"]


def test_a_pattern_of_objects_is_no_query(write: Write) -> None:
    assert rules(write(one_step(text="s3://falaj-raw/part-?.parquet"))) == set()


@pytest.mark.parametrize("query", ["?region=eu-west-1", "?endpoint=evil.example", "#fragment"])
def test_finds_a_pipeline_root_with_a_query_string(write: Write, query: str) -> None:
    good, bad = "s3://falaj-runs/x", f"s3://falaj-runs/x{query}"

    assert rules(write(one_step(pipeline_root=good))) == set()
    assert rules(write(one_step(pipeline_root=bad))) == {"root-with-query"}


def test_finds_a_query_string_in_an_importer_and_in_an_argument(write: Write) -> None:
    @pipeline(name="imports")
    def imports() -> None:
        dsl.importer(artifact_uri="s3://b/x?region=eu", artifact_class=dsl.Dataset)
        act(text="s3://b/y?endpoint=evil.example")

    assert [one.rule for one in linter.lint(write(imports))] == ["root-with-query"] * 2


def test_takes_a_parsed_pipeline_as_well_as_a_file(write: Write) -> None:
    path = write(one_step(pipeline_root="s3://b/x?y"))
    parsed = yaml.safe_load(path.read_text())

    assert [one.rule for one in linter.lint(parsed)] == ["root-with-query"]


def test_refuses_what_is_no_compiled_pipeline(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "other.yaml"
    path.write_text("kind: Deployment")

    with pytest.raises(UserError, match="not a compiled pipeline"):
        linter.lint(path)


def test_the_page_says_of_each_rule_what_its_docstring_says() -> None:
    page = (pathlib.Path(__file__).parents[2] / "docs/kubeflow.md").read_text()
    said = dict(re.findall(r"^\| `([a-z-]+)` \| (.*) \|$", page.partition("| Rule |")[2], re.M))

    for rule in linter.RULES:
        sentence = (rule.__doc__ or "").removeprefix("Find ").rstrip(".")
        assert said[rule.__name__.replace("_", "-")] == sentence


def test_every_rule_has_been_seen_to_fail() -> None:
    files = pathlib.Path(__file__).parent.glob("test_linter*.py")
    source = "".join(path.read_text() for path in files)

    for rule in linter.RULES:
        assert f'"{rule.__name__.replace("_", "-")}"' in source
