"""A real control plane, once a session; a namespace for each test; clients as given identities."""

import itertools
import os
import pathlib
import uuid
from collections.abc import Iterator

import pytest

from tests.cluster.ground import build, clients, control_plane, crds, loading
from tests.cluster.ground.clients import Access

HERE = pathlib.Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ours = {path for path in {item.path for item in items} if path.is_relative_to(HERE)}
    for item in items:
        if item.path in ours:
            item.add_marker("cluster")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = itertools.chain.from_iterable(terminalreporter.stats.values())
    if any(isinstance(one, pytest.TestReport) and "cluster/" in one.nodeid for one in reports):
        kept = os.environ.get("FALAJ_TEST_CLUSTER")
        source = f"whoever keeps {kept}" if kept else crds.source(os.environ)
        terminalreporter.write_line(f"cluster: definitions from {source}")


@pytest.fixture(scope="session")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Access]:
    """The control plane, a worker's own or a kept one; a missing one is a failure, never a skip."""
    if kept := os.environ.get("FALAJ_TEST_CLUSTER"):
        yield clients.reopen(pathlib.Path(kept))
        return
    binaries, folder = build.folder(os.environ), tmp_path_factory.mktemp("cluster")
    with control_plane.running(binaries, folder) as access:
        loading.load(access, crds.chosen(os.environ))
        loading.add_nodes(access, count=3)
        yield access


@pytest.fixture
def namespace(ground: Access) -> Iterator[str]:
    """A namespace of the test's own; what is in it goes with it."""
    name = f"t-{uuid.uuid4().hex[:8]}"
    ground.kubectl("create", "namespace", name)
    yield name
    ground.kubectl("delete", "namespace", name, "--wait=false")
