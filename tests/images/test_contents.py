"""Images without docker: the lock in an environment of its own, the copied folders, the program.

Proves what reading imports cannot: that the locked packages install, load, and suffice.
"""

import json
import pathlib
import shutil
import subprocess
import sys

import pytest

from images.families import FAMILIES, LOCKS, ROOT
from tests.images.deployed import modules
from tests.images.test_dockerfiles import copied, instructions
from tests.images.test_imports import programs

BIN = pathlib.Path(sys.executable).parent
LEAN = ("serving", "initializer", "transformer")
KMS = (
    "from components.foundation.sealing.keys import awskms\n"
    "with awskms.signer('awskms:///arn:aws:kms:me-central-1:111122223333:key/k', {}).kms.asked('x')"
    " as client: print(client.meta.endpoint_url)"
)
LOADER = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]"


def build(family: str, folder: pathlib.Path) -> pathlib.Path:
    """Do what the Dockerfile does; return the environment's python."""
    python = folder / "opt" / "bin" / "python"
    lock = str(LOCKS / f"{family}.lock")
    _run(str(BIN / "uv"), "venv", "--quiet", "--python", sys.executable, str(python.parents[1]))
    sync = ["pip", "sync", "--quiet", "--require-hashes", "--python", str(python)]
    _run(str(BIN / "uv"), *sync, *_building(family), lock)
    for argument in removing(family):
        _run(*[part.replace("/opt/falaj", str(python.parents[1])) for part in argument])
    for source in copied(family):
        _copy(source.replace("${PROJECT}", "examples"), folder / "app")
    return python


@pytest.mark.slow
@pytest.mark.parametrize("family", LEAN)
def test_a_serving_image_starts_its_programs(family: str, tmp_path: pathlib.Path) -> None:
    python = build(family, tmp_path)

    for module in modules(family):
        shown = _run(str(python), "-m", module, "--help", cwd=tmp_path / "app")
        assert f"usage: python -m {module}" in shown
    loaded = [name for name in programs(family) if not name.endswith("__main__")]
    _run(str(python), "-c", LOADER, *loaded, cwd=tmp_path / "app")


@pytest.mark.slow
@pytest.mark.parametrize("family", sorted(set(FAMILIES) - set(LEAN)))
def test_a_step_image_loads_every_component_of_its_family(
    family: str, tmp_path: pathlib.Path
) -> None:
    python = build(family, tmp_path)

    _run(
        str(python), "-c", LOADER, "kfp.dsl.executor_main", *programs(family), cwd=tmp_path / "app"
    )


@pytest.mark.slow
def test_the_initializer_asks_kms_by_what_it_keeps_of_its_client(tmp_path: pathlib.Path) -> None:
    python = build("initializer", tmp_path)

    shown = _run(str(python), "-c", KMS, cwd=tmp_path / "app")

    described = [path.name for path in tmp_path.glob("opt/lib/*/site-packages/botocore/data/*/")]
    assert shown == "https://kms.me-central-1.amazonaws.com\n"
    assert sorted(described) == ["kms", "sts"]


def removing(family: str) -> list[list[str]]:
    """What the Dockerfile takes out of the environment again."""
    commands = [json.loads(argument) for name, argument in instructions(family) if name == "RUN"]
    return [command for command in commands if command[0] == "find"]


def _building(family: str) -> list[str]:
    if family in LEAN:
        return ["--no-build"]
    return ["--require-build-hashes", "--build-constraints", str(LOCKS / "build.lock")]


def _copy(source: str, app: pathlib.Path) -> None:
    target = app / source
    target.parent.mkdir(parents=True, exist_ok=True)
    if (ROOT / source).is_dir():
        shutil.copytree(ROOT / source, target)
    else:
        shutil.copy(ROOT / source, target)


def _run(*command: str, cwd: pathlib.Path | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
