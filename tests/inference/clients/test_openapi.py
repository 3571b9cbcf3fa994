"""Whatever the description of the REST protocol allows or forbids, the server keeps to it."""

import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.inference.identities import write_identities
from tests.inference.processes import Process, served

_DESCRIBED = (
    pathlib.Path(__file__).parents[3] / "inference" / "server" / "protocol" / "openapi.yaml"
)
_MODEL, _VERSION = "echo", "0"

schema = schemathesis.openapi.from_path(_DESCRIBED)
pytestmark = pytest.mark.slow


@schema.hook
def map_path_parameters(
    context: schemathesis.HookContext, path_parameters: dict[str, Any] | None
) -> dict[str, Any] | None:
    """Ask for the model that there is in most cases, so that more than 404 is tried."""
    for name, right in (("model_name", _MODEL), ("model_version", _VERSION)):
        if path_parameters and name in path_parameters and len(str(path_parameters[name])) % 4:
            path_parameters[name] = right
    return path_parameters


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("described") / "model"
    with served(write_identities(folder, ["FP32", "INT64"]), name=_MODEL) as process:
        yield process


@schema.parametrize()
@settings(max_examples=60, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
def test_answers_as_described(case: schemathesis.Case[Any], server: Process) -> None:
    # No schema can say that a tensor's data must be as many as its shape says.
    case.call_and_validate(
        base_url=f"http://127.0.0.1:{server.http}", excluded_checks=[positive_data_acceptance]
    )
