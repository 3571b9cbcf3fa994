"""An image has what its programs import: our folders are copied, others' packages are locked."""

import importlib.metadata
import pathlib
import re

import pytest

from images.families import FAMILIES, LOCKS, ROOT, name_of
from tests.images import deployed, imports
from tests.images.test_dockerfiles import FACES, copied

DISTRIBUTIONS = importlib.metadata.packages_distributions()
PIN = re.compile(r"^([A-Za-z0-9._-]+)==", re.MULTILINE)
# One face exports from both frameworks; each image has the one that it needs (record 0004).
EXPORT = "components.release.export_onnx.component"
ELSEWHERE = {"torch": {"tensorflow", "tf2onnx"}, "tensorflow": {"torch"}}
# The server refuses a program of these frameworks where they are not installed.
LEAN = {"serving": {"torch", "tensorflow"}, "release": {"torch", "tensorflow"}}
# A transformer reads the online store; what joins the past is loaded by Feast, and never asked.
# A pod that opens releases has its ring mounted, and asks no API for it; it asks in which country
# a region is, and not for the law, which stands with a site's profile.
UNASKED = {
    "transformer": {"duckdb", "sqlglot"},
    "initializer": {"kubernetes", "pydantic"},
    "serving": {"blake3"},  # of what is sealed, and a server seals nothing
}


def programs(family: str) -> list[str]:
    """The faces that run in a family, and the programs that lie in its image."""
    faces = [face for face in FACES if f'@component("{family}")' in face.read_text()]
    mains = [main for source in copied(family) for main in (ROOT / source).glob("__main__.py")]
    steps = ["components.step"] if FAMILIES[family].runs_steps else []
    also = [EXPORT] if family in ELSEWHERE else []
    also += [f"{module}.__main__" for module in deployed.modules(family)]
    also += deployed.feature_stores() if family == "transformer" else []
    return list(dict.fromkeys([*steps, *also, *map(imports.name_of, [*faces, *mains])]))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_module_of_ours_is_copied(family: str) -> None:
    sources = copied(family)

    missing = [
        path.relative_to(ROOT).as_posix()
        for path in imports.of(*programs(family)).modules.values()
        if not _within(path, sources)
    ]

    assert missing == []


@pytest.mark.parametrize("family", FAMILIES)
def test_every_package_of_others_is_locked(family: str) -> None:
    locked = {name_of(n) for n in PIN.findall((LOCKS / f"{family}.lock").read_text())}
    absent = ELSEWHERE.get(family, set()) | LEAN.get(family, set())
    absent |= UNASKED.get(family, set())

    missing = {
        package
        for package in imports.of(*programs(family)).packages - absent
        if locked.isdisjoint(map(name_of, DISTRIBUTIONS.get(package, [package])))
    }

    assert missing == set()


@pytest.mark.parametrize("family", FAMILIES)
def test_there_is_something_to_run(family: str) -> None:
    assert programs(family)


def _within(path: pathlib.Path, sources: set[str]) -> bool:
    name = path.relative_to(ROOT).as_posix()
    return any(name == source or name.startswith(f"{source}/") for source in sources)
