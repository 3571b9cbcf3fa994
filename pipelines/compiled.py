"""Compile every pipeline of a project, and every component by itself, to IR YAML."""

import importlib
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

from kfp import compiler
from kfp.dsl.base_component import BaseComponent

from components.foundation.errors import UserError, nearest
from pipelines import batch_inference, collection, deployment, monitoring, training
from pipelines.place import Place
from pipelines.project import Project

_ROOT = pathlib.Path(__file__).parents[1]

BUILDERS: dict[str, Callable[[Project, Place], Any]] = {
    "training-torch": training.torch,
    "training-tensorflow": training.tensorflow,
    "deployment": deployment.build,
    "batch-inference": batch_inference.build,
    "collection": collection.build,
    "monitoring": monitoring.build,
}


def names(project: Project) -> list[str]:
    """Name the pipelines that a project has: it may train with one framework only."""
    lacking = {f"training-{one}" for one in ("torch", "tensorflow") if not _trains(project, one)}
    return [name for name in BUILDERS if name not in lacking]


def _trains(project: Project, framework: str) -> bool:
    return getattr(project.model, framework) is not None


def pipeline(name: str, project: Project, place: Place) -> Any:
    """Build one pipeline; raises UserError with the nearest name when there is none."""
    known = names(project)
    if name not in known:
        raise UserError(
            f"pipeline {name!r}: {project.name} has none; {nearest(name, known)}",
            code="pipeline-unknown",
        )
    return BUILDERS[name](project, place)


def components() -> Iterator[BaseComponent]:
    """Load every component of the suite, in the order of the tree."""
    for file in sorted((_ROOT / "components").glob("*/*/component.py")):
        module = importlib.import_module(".".join(file.relative_to(_ROOT).with_suffix("").parts))
        yield getattr(module, file.parent.name)


def compile_all(project: Project, place: Place, out: pathlib.Path) -> list[pathlib.Path]:
    """Write OUT/pipelines/*.yaml and OUT/components/*.yaml; return the files."""
    named = [(f"pipelines/{name}", pipeline(name, project, place)) for name in names(project)]
    named += [(f"components/{item.name}", item) for item in components()]
    files = []
    for name, item in named:
        path = out / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        compiler.Compiler().compile(item, str(path))
        files.append(path)
    return files
