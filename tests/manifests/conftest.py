"""Build what kustomize builds, and the schemas to hold it against."""

import functools
import os
import pathlib
import subprocess
from typing import Any

import pytest
import yaml

from tests import kubectl
from tests.manifests import schemas

ROOT = pathlib.Path(__file__).parents[2]
OVERLAYS = sorted(path.name for path in (ROOT / "kustomize" / "overlays").iterdir())
CRDS = os.environ.get("CRDS")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    also = f"; and against the CRDs in {CRDS}" if CRDS else "; CRDS names no folder of real ones"
    terminalreporter.write_line(f"manifests: held against {schemas.WHEELS}{also}")


@functools.cache
def built(folder: str) -> str:
    """Build one folder as `kubectl kustomize` does."""
    command = [kubectl.path(), "kustomize", str(ROOT / folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def objects_of(folder: str) -> list[dict[str, Any]]:
    """Return every object of a build, each time anew."""
    # The C parser where there is one: an enterprise is thousands of lines.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return list(yaml.load_all(built(folder), Loader=loader))


@pytest.fixture(params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def text(overlay: str) -> str:
    return built(f"kustomize/overlays/{overlay}")


@pytest.fixture
def things(overlay: str) -> list[dict[str, Any]]:
    """Every object of an overlay."""
    return objects_of(f"kustomize/overlays/{overlay}")


@pytest.fixture(scope="session", params=["derived", "real"] if CRDS else ["derived"])
def known(request: pytest.FixtureRequest) -> schemas.Schemas:
    """The schemas of a clone, and the real ones where CRDS names their folder."""
    return schemas.real(pathlib.Path(CRDS or "")) if request.param == "real" else schemas.derived()
