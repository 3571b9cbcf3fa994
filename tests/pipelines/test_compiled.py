"""What `falaj compile` writes: equal to the goldens, and clean for the linter."""

import pathlib
from collections.abc import Callable

import pytest

from pipelines import compiled, linter
from pipelines.place import Place
from pipelines.project import load

PROJECT = load(pathlib.Path(__file__).parents[2] / "examples/flights")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pathlib.Path]:
    out = tmp_path_factory.mktemp("compiled")
    return {
        path.relative_to(out).as_posix(): path
        for path in compiled.compile_all(PROJECT, Place.named("cluster"), out)
    }


@pytest.mark.parametrize("name", list(compiled.BUILDERS))
def test_a_pipeline_is_what_it_was(
    name: str, files: dict[str, pathlib.Path], golden: Callable[[str, str], None]
) -> None:
    golden(f"pipelines/{name}.yaml", files[f"pipelines/{name}.yaml"].read_text())


def test_every_component_is_what_it_was(
    files: dict[str, pathlib.Path], golden: Callable[[str, str], None]
) -> None:
    components = {name: path for name, path in files.items() if name.startswith("components/")}

    assert len(components) == len(list(compiled.components()))
    for name, path in components.items():
        golden(name, path.read_text())


def test_the_linter_finds_nothing(files: dict[str, pathlib.Path]) -> None:
    assert [str(finding) for path in files.values() for finding in linter.lint(path)] == []


def test_every_pipeline_parameter_is_documented_and_has_a_default(
    files: dict[str, pathlib.Path],
) -> None:
    import yaml

    for name in compiled.BUILDERS:
        document = next(yaml.safe_load_all(files[f"pipelines/{name}.yaml"].read_text()))
        for parameter, spec in document["root"]["inputDefinitions"]["parameters"].items():
            assert spec.get("description"), f"{name}: {parameter} is not documented"
            assert spec.get("isOptional"), f"{name}: {parameter} has no default"
