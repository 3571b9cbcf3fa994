"""What `falaj new` makes: a project that compiles as it is, and asks only what it needs."""

import os
import pathlib
import re
import signal
import subprocess
import sys

import httpx
import pytest

from components.foundation import cost
from components.foundation.errors import UserError
from components.foundation.statistics.task import Task
from components.foundation.tables import Tables
from components.ingestion.commit import Landed, Landing
from components.ingestion.ingest_rest import collection
from components.ingestion.ingest_rest.client import Budget, Client
from components.ingestion.ingest_rest.pagination import Pagination
from pipelines import compiled
from pipelines.__main__ import main
from pipelines.place import Place
from pipelines.project import Project, load
from pipelines.skeleton.writing import SOURCES, Skeleton, write
from tests import ports
from tests.docs.transcript import blocks

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


def test_the_sample_service_gives_every_row_once_and_later_only_what_became_known(
    tmp_path: pathlib.Path, tables: Tables, unique: str
) -> None:
    _project(tmp_path, source="rest")
    target = f"s3://falaj-raw/{unique}"

    first = _read_service(tmp_path, tables, target, until="2023-10")
    again = _read_service(tmp_path, tables, target, until="2023-10")
    with cost.metered() as meter:
        later = _read_service(tmp_path, tables, target, until="2023-11")

    assert (first.rows, again.rows, later.rows) == (243 * 20, 0, 30 * 20)
    assert meter.cost().rows_read == 30 * 20, "it sends only what is behind the cursor"
    read = tables.read(later.table).to_pylist()
    assert len({row["reading_id"] for row in read}) == later.total == 273 * 20
    assert all(row["kwh"] is not None for row in read)


def _read_service(folder: pathlib.Path, tables: Tables, target: str, *, until: str) -> Landed:
    """Start the sample as its README does, on a port that it chooses; read it and end it."""
    command = [sys.executable, "-m", "demand.sample", "--until", until, "--port", "0"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as service:
        try:
            assert service.stdout
            url = service.stdout.readline().split()[-1]
            source = collection.Collection(url, Pagination.PAGE, "page", "seq", "since")
            client = Client(httpx.Client(), Budget(10), "items")
            return collection.ingest(Landing.open(tables, target), source, client)
        finally:
            service.send_signal(signal.SIGINT)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("source", SOURCES)
def test_a_projects_own_readme_trains_and_deploys_on_its_sample(
    source: str, tmp_path: pathlib.Path
) -> None:
    """But `falaj serve`, which stays until Ctrl-C. A service of its own ends with the shell."""
    _project(tmp_path, source=source)
    block = next(blocks((tmp_path / "demand/README.md").read_text()))
    lines = [line for line in block.lines if not line.startswith("falaj serve")]
    script = "\n".join(["set -e", "trap 'kill $(jobs -p)' EXIT", *lines])
    script = script.replace("8711", str(ports.free()))
    path = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"

    done = subprocess.run(
        ["/bin/bash", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )

    assert len(lines) >= 4
    assert "channel/champion@1" in done.stdout, done.stdout + done.stderr
