"""The rules of the two trees: one object a file, named for it; kustomize only chooses."""

import pathlib
from typing import Any

import pytest
import yaml

from tests.manifests.conftest import ROOT, built

MANIFESTS = ROOT / "manifests"
CONCERNS = sorted(path.parent for path in MANIFESTS.glob("*/kustomization.yaml"))
NO_OBJECTS = {"kustomization.yaml", "policy.yaml"}  # the latter is a file for the API server
OBJECTS = sorted(path for path in MANIFESTS.rglob("*.yaml") if path.name not in NO_OBJECTS)
CHOICES = sorted((ROOT / "kustomize").rglob("*.yaml"))


def _name(path: pathlib.Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _one(path: pathlib.Path) -> dict[str, Any]:
    [thing] = yaml.safe_load_all(path.read_text())
    found: dict[str, Any] = thing
    return found


@pytest.mark.parametrize("path", OBJECTS, ids=_name)
def test_a_file_holds_one_object_and_is_named_for_it(path: pathlib.Path) -> None:
    thing = _one(path)

    assert path.stem == f"{thing['kind'].lower()}-{thing['metadata']['name']}"


@pytest.mark.parametrize("path", OBJECTS + CHOICES, ids=_name)
def test_a_file_starts_by_saying_why_it_exists(path: pathlib.Path) -> None:
    first = path.read_text().splitlines()[0]

    assert first.startswith("# ")
    assert len(first) > 20


@pytest.mark.parametrize("folder", CONCERNS, ids=_name)
def test_a_concern_lists_all_its_files_and_builds_alone(folder: pathlib.Path) -> None:
    listed = _one(folder / "kustomization.yaml")["resources"]

    assert sorted(listed) == sorted(p.name for p in OBJECTS if p.parent == folder)
    assert built(_name(folder))


def test_the_table_names_every_concern() -> None:
    table = (MANIFESTS / "README.md").read_text()

    assert [folder.name for folder in CONCERNS if f"| `{folder.name}/` |" not in table] == []


@pytest.mark.parametrize("path", CHOICES, ids=_name)
def test_kustomize_is_short_and_holds_no_new_object(path: pathlib.Path) -> None:
    thing = _one(path)
    whole = {(t["kind"], t["metadata"]["name"]) for t in map(_one, OBJECTS)}

    assert len(path.read_text().splitlines()) < 25
    if "metadata" in thing and thing["apiVersion"] != "builtin":  # a patch
        assert (thing["kind"], thing["metadata"]["name"]) in whole
