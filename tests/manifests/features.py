"""Build the base with a choice of features, as an overlay would."""

import os
import pathlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from tests.manifests.conftest import ROOT, built, objects_of

Thing = dict[str, Any]


def base_with(folder: pathlib.Path, *features: str) -> list[Thing]:
    """Return every object of the base and of some features; an empty folder is needed."""
    return _built(folder, features)


def overlay_with(folder: pathlib.Path, site: Mapping[str, str], *features: str) -> list[Thing]:
    """Return every object of an overlay with some features, whose site says something else."""
    up = _up(folder)
    patch = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "falaj-site", "namespace": "falaj"},
        "data": dict(site),
    }
    patches = [{"patch": yaml.safe_dump(patch)}]
    return _built(folder, features, patches=patches, transformers=[f"{up}/transformers/site"])


def _built(folder: pathlib.Path, features: Iterable[str], **more: Any) -> list[Thing]:
    up = _up(folder)
    kustomization = {
        "kind": "Kustomization",
        "resources": [f"{up}/base"],
        "components": [f"{up}/components/{feature}" for feature in features],
        **more,
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return objects_of(str(folder))


def _up(folder: pathlib.Path) -> str:
    return os.path.relpath(ROOT / "kustomize", folder.resolve())


def objects(concern: str) -> dict[tuple[str, str], Thing]:
    """Return the objects of one concern by kind and name."""
    things = yaml.safe_load_all(built(f"manifests/{concern}"))
    return {(thing["kind"], thing["metadata"]["name"]): thing for thing in things}


def one(things: list[Thing], kind: str, name: str) -> Thing:
    [found] = [t for t in things if (t["kind"], t["metadata"]["name"]) == (kind, name)]
    return found


def on_page(name: str) -> dict[tuple[str, str], Thing]:
    """Return the objects that a page of docs/ shows, by kind and name."""
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / name).read_text(), re.DOTALL)
    things = [yaml.safe_load(block) for block in blocks]
    return {(t["kind"], t["metadata"]["name"]): t for t in things if "kind" in t}
