"""`falaj compile` beside IR: Kubernetes objects, and a comparison with what was released."""

import pathlib

import pytest
import yaml

from pipelines import compiled
from pipelines.__main__ import main

ROOT = pathlib.Path(__file__).parents[2]
GOLDENS = ROOT / "tests" / "golden" / "pipelines"
SITE = (ROOT / "pipelines/sites/cluster.yaml").read_text()


@pytest.fixture(autouse=True)
def _one_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile one small pipeline instead of everything."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(compiled, "BUILDERS", {"collection": compiled.BUILDERS["collection"]})
    monkeypatch.setattr(compiled, "components", lambda: iter(()))


@pytest.fixture
def released(tmp_path: pathlib.Path) -> pathlib.Path:
    """A release whose pipeline has a parameter that is gone now."""
    documents = list(yaml.safe_load_all((GOLDENS / "collection.yaml").read_text()))
    parameters = documents[0]["root"]["inputDefinitions"]["parameters"]
    parameters["region"] = {"parameterType": "STRING", "isOptional": True}
    folder = tmp_path / "released" / "pipelines"
    folder.mkdir(parents=True)
    (folder / "collection.yaml").write_text(yaml.safe_dump_all(documents))
    return folder.parent


def run(tmp_path: pathlib.Path, *more: str | pathlib.Path) -> int:
    return main(["compile", "--out", str(tmp_path / "build"), *map(str, more)])


def test_objects_for_kubernetes_are_written_on_demand(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path) == 0
    assert not (tmp_path / "build/kubernetes").exists()

    assert run(tmp_path, "--kubernetes") == 0
    names = sorted(path.name for path in (tmp_path / "build/kubernetes").iterdir())
    assert names == ["pipeline-collection.yaml", "pipelineversion-collection.yaml"]
    assert "of namespace falaj" in capsys.readouterr().out


def test_what_was_released_is_well(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "--against", GOLDENS / "collection.yaml") == 0
    assert "0 changed since" in capsys.readouterr().out


def test_a_break_is_refused_and_named(
    released: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "--against", released) == 3

    captured = capsys.readouterr()
    assert "the parameter region is gone" in captured.out
    assert "[flights-collection.region]" in captured.out
    assert "flights-collection.region; give the parameter back" in captured.err
    assert "[callers-broken]" in captured.err


def test_a_break_that_is_named_is_let_through(
    released: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = ("--accept", "flights-collection.region", "--accept", "flights-collection.other")

    assert run(tmp_path, "--against", released, *named) == 0
    said = capsys.readouterr().out
    assert "1 changed" in said
    assert "0 breaks not accepted" in said
    assert "breaks nothing: flights-collection.other; remove it" in said


def test_a_release_that_is_not_there_is_the_users_mistake(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "--against", tmp_path / "nowhere") == 2
    assert "no such file or folder" in capsys.readouterr().err


def test_what_a_site_says_of_pods_is_linted_with_the_rest(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = tmp_path / "my-site.yaml"
    site.write_text(f"{SITE}\npods: {{every: {{memory_request: 64G}}}}\n")

    assert run(tmp_path, "--site", site) == 3
    captured = capsys.readouterr()
    assert "asks for more memory than its limit; lower memory_request" in captured.out
    assert "[lint-findings]" in captured.err


def test_a_site_that_names_no_step_is_the_users_mistake(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = tmp_path / "my-site.yaml"
    site.write_text(f"{SITE}\npods: {{steps: {{train_troch: {{cpu: 2}}}}}}\n")

    assert run(tmp_path, "--site", site) == 2
    assert "pods.steps.train_troch: unknown; did you mean 'train_torch'?" in capsys.readouterr().err


def test_a_break_that_is_meant_is_refused_where_nothing_is_compared(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else a line that lost its --against would look as if it compared."""
    assert run(tmp_path, "--accept", "flights-collection.source") == 2
    assert "nothing is compared; name what was released" in capsys.readouterr().err
