"""What every test may stand on: a real S3 server, started once a session."""

import contextlib
import importlib
import pathlib
import uuid
from collections.abc import Callable, Iterator

import pytest

from components.foundation import undumpable
from components.foundation.storage import ObjectStore, Settings
from components.foundation.tables import Tables
from pipelines.laptop import seaweedfs, session
from tests import together

GOLDENS = pathlib.Path(__file__).with_name("golden")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-goldens", action="store_true", help="write goldens, not compare")


def pytest_configure(config: pytest.Config) -> None:
    together.pytest_configure(config)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Hold text against tests/golden/<name>: `golden("overlays/smb.yaml", text)`."""

    def compare(name: str, text: str) -> None:
        path = GOLDENS / name
        if request.config.getoption("--update-goldens"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        assert path.exists(), f"{path}: no such golden; run pytest with --update-goldens"
        assert text == path.read_text(), f"{path} differs; if that is meant, --update-goldens"

    return compare


@pytest.fixture(autouse=True)
def _dumpable() -> Iterator[None]:
    """Make this process dumpable again: only so may others than root measure themselves."""
    yield
    undumpable.set_dumpable(True)


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    with seaweedfs.running(tmp_path_factory.mktemp("s3"), buckets=session.BUCKETS) as settings:
        yield settings


@pytest.fixture
def store(s3: Settings) -> ObjectStore:
    return ObjectStore(s3)


@pytest.fixture
def tables(s3: Settings) -> Tables:
    return Tables(s3)


@pytest.fixture
def unique() -> str:
    """A name that no other test uses."""
    return f"t{uuid.uuid4().hex[:10]}"


@pytest.fixture
def environment(s3: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    """The environment that a step sees on a laptop."""
    for name, value in s3.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FALAJ_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FALAJ_RUN_ID", "test")


@pytest.fixture(scope="session")
def frameworks() -> None:
    """Let PyTorch and TensorFlow live in one process: its Triton crashes when it comes second."""
    with contextlib.suppress(ImportError):
        importlib.import_module("triton")
