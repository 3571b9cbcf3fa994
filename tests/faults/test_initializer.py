"""The initializer and an object store that fails: in passing it opens, else it says so."""

import os
import pathlib
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from components.foundation.sealing import release
from components.foundation.sealing.keys import KeyRing
from components.foundation.storage import ObjectStore, Settings
from tests.faults import proxy
from tests.faults.proxy import Fault, Plan

pytestmark = pytest.mark.faults
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def uri(store: ObjectStore, tmp_path: pathlib.Path, unique: str) -> str:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("model.onnx", "signature.json"):
        (folder / name).write_bytes(os.urandom(1_500_000))
    keys = KeyRing.create(tmp_path / "keys")
    return release.seal(folder, model=unique, facts={}, store=store, keys=keys).uri


@pytest.fixture
def before(s3: Settings) -> Iterator[proxy.Proxy]:
    with proxy.before(s3.endpoint) as running:
        yield running


@pytest.fixture
def run(uri: str, s3: Settings, before: proxy.Proxy, tmp_path: pathlib.Path) -> Run:
    """Return what opens the release through the proxy, within so many seconds a request."""

    def opens(seconds: float) -> "subprocess.CompletedProcess[str]":
        where = {"AWS_ENDPOINT_URL": before.endpoint, "FALAJ_STORE_SECONDS": str(seconds)}
        keys = {"FALAJ_KEYS": str(tmp_path / "keys")}
        return subprocess.run(
            [sys.executable, "-m", "inference.initializer", uri, str(tmp_path / "out")],
            env=os.environ | s3.environment() | where | keys,
            capture_output=True,
            text=True,
            check=False,
        )

    return opens


@pytest.mark.parametrize("fault", [Fault.REFUSED, Fault.ERROR, Fault.SLOW_DOWN, Fault.CUT_ANSWER])
def test_what_fails_in_passing_is_no_matter(
    run: Run, before: proxy.Proxy, fault: Fault, tmp_path: pathlib.Path
) -> None:
    before.plan(Plan((fault,)))

    done = run(10)

    hits = before.plan(Plan())
    assert done.returncode == 0, done.stderr
    assert len(hits) >= 6  # every request
    for name in ("model.onnx", "signature.json"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "folder" / name).read_bytes()


@pytest.mark.parametrize(
    ("fault", "says"), [(Fault.SLOW_DOWN, "failed (503 SlowDown)"), (Fault.STALL, "did not answer")]
)
def test_what_lasts_may_be_tried_again_and_then_goes_on(
    run: Run, before: proxy.Proxy, fault: Fault, says: str, tmp_path: pathlib.Path
) -> None:
    before.plan(Plan((fault,), lasting=True))
    failed = run(1)
    before.plan(Plan())

    done = run(10)

    assert failed.returncode == 75
    assert f"the object store {says}" in failed.stderr.splitlines()[-1]
    assert "Traceback" not in failed.stderr
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out/release.json").exists()
