"""The Kubernetes layer with the oldest client that it takes, and the newest there is.

One environment has one version, and `test_kubernetes_layer.py` is played with that. So each other
one is installed into a folder of its own, with its exact dependencies, and a Python whose path
begins there plays the same.
"""

import hashlib
import importlib.metadata
import os
import pathlib
import subprocess
import sys

import pytest

from tests.cluster.ground.clients import Access

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
CLIENTS = HERE / "python_clients"
CACHE = ROOT / ".cache" / "python-clients"
PLAYED = "tests/cluster/test_kubernetes_layer.py"
VERSIONS = {"oldest": "30.1.0", "newest": "37.0.2"}
OTHERS = [name for name, one in VERSIONS.items() if one != importlib.metadata.version("kubernetes")]


def installed(name: str) -> pathlib.Path:
    """Return a folder with what a requirements file says; install it once."""
    wanted = CLIENTS / f"{name}.txt"
    folder = CACHE / f"{name}-{hashlib.sha256(wanted.read_bytes()).hexdigest()[:12]}"
    if not folder.exists():
        partial = folder.with_suffix(f".{os.getpid()}")
        uv = str(pathlib.Path(sys.executable).with_name("uv"))
        install = (uv, "pip", "install", "--quiet", "--no-deps", "--require-hashes")
        into = ("--python", sys.executable, "--target", str(partial), "-r", str(wanted))
        command = [*install, *into]
        subprocess.run(command, check=True, timeout=300)
        partial.rename(folder)
    return folder


def run(folder: pathlib.Path, ground: Access, *arguments: str) -> str:
    """Run Python with a folder before everything else; return what it said."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(folder),
        "FALAJ_TEST_CLUSTER": str(ground.folder),
    }
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@pytest.mark.parametrize("name", OTHERS)
def test_the_layer_keeps_its_promises_with_each_client(name: str, ground: Access) -> None:
    folder = installed(name)
    ground.keep()

    asked = run(folder, ground, "-c", "import kubernetes; print(kubernetes.__version__)")
    said = run(folder, ground, "-m", "pytest", "-q", "-p", "no:cacheprovider", PLAYED)

    assert asked.strip() == VERSIONS[name]
    assert "[100%]" in said


@pytest.mark.parametrize("name", VERSIONS)
def test_what_is_installed_is_the_version_that_is_meant(name: str) -> None:
    assert f"kubernetes=={VERSIONS[name]} " in (CLIENTS / f"{name}.txt").read_text()


def test_what_the_project_asks_for_begins_with_the_oldest_and_has_no_end() -> None:
    wanted = [one for one in (ROOT / "setup.cfg").read_text().split() if one[:11] == "kubernetes>"]

    assert wanted == [f"kubernetes>={VERSIONS['oldest'].partition('.')[0]}"]
