"""A real control plane, once a session; a namespace for each test; clients as given identities."""

import os
import pathlib
import uuid
from collections.abc import Iterator

import pytest

from tests.cluster.ground import build, clients, control_plane, crds, loading
from tests.cluster.ground.clients import Access

HERE = pathlib.Path(__file__).parent
_SOURCE = pytest.StashKey[str]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("cluster")


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if source := config.stash.get(_SOURCE, ""):
        terminalreporter.write_line(f"cluster: definitions from {source}")


@pytest.fixture(scope="session")
def ground(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[Access]:
    """The control plane, ours or a kept one; a missing one is a failure, never a skip."""
    if kept := os.environ.get("FALAJ_TEST_CLUSTER"):
        pytestconfig.stash[_SOURCE] = f"whoever keeps {kept}"
        yield clients.reopen(pathlib.Path(kept))
        return
    binaries = build.folder(os.environ)
    definitions = crds.chosen(os.environ)
    pytestconfig.stash[_SOURCE] = definitions.source
    with control_plane.running(binaries, tmp_path_factory.mktemp("cluster")) as access:
        loading.load(access, definitions.all)
        loading.add_nodes(access, count=3)
        yield access


@pytest.fixture
def namespace(ground: Access) -> Iterator[str]:
    """A namespace of the test's own; what is in it goes with it."""
    name = f"t-{uuid.uuid4().hex[:8]}"
    ground.kubectl("create", "namespace", name)
    yield name
    ground.kubectl("delete", "namespace", name, "--wait=false")
