"""What `falaj new` makes: a project that compiles as it is, and asks only what it needs."""

import pathlib
import re

import pytest

from components.foundation.errors import UserError
from components.foundation.statistics.task import Task
from pipelines import compiled
from pipelines.__main__ import main
from pipelines.place import Place
from pipelines.project import Project, load
from pipelines.skeleton.writing import SOURCES, Skeleton, write

PLACE = Place.named("laptop")


def _project(folder: pathlib.Path, **more: object) -> Project:
    write(Skeleton("demand", **more), folder)  # type: ignore[arg-type]  # a test's own words
    return load(folder / "demand")


def _asked(project: Project, pipeline: str) -> set[str]:
    built = compiled.pipeline(pipeline, project, PLACE)
    return set(built.pipeline_spec.root.input_definitions.parameters)


@pytest.mark.parametrize("task", list(Task))
@pytest.mark.parametrize("source", SOURCES)
def test_every_skeleton_loads_and_leaves_no_blank(
    source: str, task: Task, tmp_path: pathlib.Path
) -> None:
    project = _project(tmp_path, task=task, source=source)

    assert (project.model.task, project.sources["readings"].kind) == (task, source)
    for path in (tmp_path / "demand").rglob("*.*"):
        assert not re.findall(r"@[a-z]+@", path.read_text()), path
        assert not path.name.endswith(".tmpl")


@pytest.mark.parametrize(
    ("source", "asked"),
    [("objects", set()), ("sql", {"sql_connection"}), ("rest", {"rest_url"})],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_pipelines_ask_for_the_sources_there_are_and_no_others(
    source: str, asked: set[str], tmp_path: pathlib.Path
) -> None:
    project = _project(tmp_path, source=source)

    for pipeline in ("training-torch", "batch-inference"):
        found = _asked(project, pipeline)
        assert found & {"sql_connection", "rest_url"} == asked
        assert found > asked


@pytest.mark.parametrize(
    ("task", "asked"),
    [(Task.CLASSIFICATION, "min_auc"), (Task.REGRESSION, "max_rmse")],
    ids=["classes", "numbers"],
)
def test_monitoring_asks_in_the_words_of_the_task(
    task: Task, asked: str, tmp_path: pathlib.Path
) -> None:
    found = _asked(_project(tmp_path, task=task), "monitoring")

    assert found & {"min_auc", "max_rmse"} == {asked}


def test_one_framework_is_enough(tmp_path: pathlib.Path) -> None:
    project = _project(tmp_path)

    assert "training-tensorflow" not in compiled.names(project)
    files = compiled.compile_all(project, PLACE, tmp_path / "build")
    assert "training-torch.yaml" in [path.name for path in files]
    assert "training-tensorflow.yaml" not in [path.name for path in files]
    with pytest.raises(UserError, match="demand has none; did you mean 'training-torch'"):
        compiled.pipeline("training-tensorflow", project, PLACE)


@pytest.mark.parametrize(
    "name", ["1st", "has-hyphen", "Capital", "a", "class", "json", "components", "x" * 41]
)
def test_refuses_a_name_that_python_or_kubernetes_cannot_bear(name: str) -> None:
    with pytest.raises(UserError, match="project"):
        Skeleton(name)


def test_refuses_a_folder_that_is_there(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "demand").mkdir()
    (tmp_path / "demand" / "mine.txt").write_text("precious")
    monkeypatch.chdir(tmp_path)

    assert main(["new", "demand"]) == 2
    assert "is there already" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "demand").iterdir()] == ["mine.txt"]


def test_says_what_to_do_next(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    assert main(["new", "demand", "--task", "regression"]) == 0
    assert "demand/README.md says what next" in capsys.readouterr().out
    readme = (tmp_path / "demand/README.md").read_text()
    assert "falaj put demand/sample s3://falaj-raw/landing/demand" in readme


def test_a_projects_own_folder_is_found_from_anywhere(tmp_path: pathlib.Path) -> None:
    project = _project(tmp_path)

    assert project.environment == {"PYTHONPATH": str(tmp_path.resolve())}
