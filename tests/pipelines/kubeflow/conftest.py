"""A stand-in for KFP's API for each test, and a client of ours that speaks to it."""

import pathlib
from collections.abc import Iterator

import pytest

from pipelines.kubeflow import running, settling, transport
from pipelines.kubeflow.client import Client
from pipelines.kubeflow.identity import Identity
from tests.pipelines.kubeflow.standin import Standin, serving

ROOT = pathlib.Path(__file__).parents[3]
CLUSTER = (ROOT / "pipelines/sites/cluster.yaml").read_text()
API = "https://kubeflow.falaj.example/pipeline"
COMPILED = ROOT / "tests/golden/pipelines/collection.yaml"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """As often as ever, but at once."""
    monkeypatch.setattr(settling, "PAUSES", (0.0,) * len(settling.PAUSES))
    monkeypatch.setattr(running, "EVERY_S", 0.0)
    monkeypatch.setattr(transport, "PAUSES", (0.0,) * len(transport.PAUSES))


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test is whoever runs it."""
    for name in (
        "KF_PIPELINES_TOKEN",
        "KF_PIPELINES_COOKIE",
        "KF_PIPELINES_SA_TOKEN_PATH",
        "SSL_CERT_FILE",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def kfp() -> Iterator[Standin]:
    """A stand-in that nobody may ask for what the contract does not have."""
    standin = Standin()
    yield standin
    assert standin.breaches == []


@pytest.fixture
def address(kfp: Standin) -> Iterator[str]:
    with serving(kfp) as at:
        yield at


@pytest.fixture
def client(address: str) -> Client:
    return Client(address, Identity(), namespace="falaj")


@pytest.fixture
def site_file(address: str, tmp_path: pathlib.Path) -> pathlib.Path:
    """A site whose API is the stand-in."""
    path = tmp_path / "site.yaml"
    path.write_text(CLUSTER.replace(f"api: {API}", f"api: {address}"))
    return path
