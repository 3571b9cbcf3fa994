import pathlib
import shutil

import pytest

from components.foundation.errors import UserError
from pipelines.project import load

FLIGHTS = pathlib.Path(__file__).parents[2] / "examples/flights"


@pytest.fixture
def copy(tmp_path: pathlib.Path) -> pathlib.Path:
    return pathlib.Path(shutil.copytree(FLIGHTS, tmp_path / "mine"))


def change(folder: pathlib.Path, old: str, new: str) -> None:
    file = folder / "project.yaml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def test_reads_the_example() -> None:
    project = load(FLIGHTS)

    assert next(iter(project.curated)) == project.features.entities
    assert "name: flights" in project.contract("flights")


def test_a_folder_without_a_project_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(UserError, match=r"project.yaml: not found"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("contracts:", "contract:", "contract: unknown; did you mean 'contracts'"),
        ("kind: sql", "kind: sqll", "sources"),
        ("name: flights\n", "", "name: Field required"),
        ("key: seq", "key: [seq]", r"sources\.flights"),
    ],
    ids=["a typo", "an unknown kind", "a missing field", "a wrong type"],
)
def test_a_wrong_field_is_named(copy: pathlib.Path, old: str, new: str, said: str) -> None:
    change(copy, old, new)

    with pytest.raises(UserError, match=said):
        load(copy)


def test_a_file_that_is_named_but_missing_is_said(copy: pathlib.Path) -> None:
    (copy / "contracts" / "planes.yaml").unlink()

    with pytest.raises(UserError, match=r"names contracts/planes.yaml, which is not there"):
        load(copy).contract("planes")
