"""Whatever the description of the REST protocol allows or forbids, the server keeps to it."""

import pathlib
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.inference.identities import write_identities
from tests.inference.processes import Process, served

_ROOT = pathlib.Path(__file__).parents[3]
_DESCRIBED = _ROOT / "inference" / "server" / "protocol" / "openapi.yaml"
_MODEL, _VERSION = "echo", "0"
_EXAMPLES = 60
_PATHS = yaml.safe_load(_DESCRIBED.read_text())["paths"]
_OPERATIONS = [
    (path, verb) for path, item in _PATHS.items() for verb in item if verb != "parameters"
]
_WITH_BODY = [
    (path, verb)
    for path, verb in _OPERATIONS
    if _PATHS[path][verb].get("requestBody", {}).get("required")
]
_TRIED = [
    *((GenerationMode.POSITIVE, *operation) for operation in _OPERATIONS),
    *((GenerationMode.NEGATIVE, *operation) for operation in _WITH_BODY),
]

pytestmark = pytest.mark.slow


def ask_for_what_there_is(
    context: schemathesis.HookContext, path_parameters: dict[str, Any] | None
) -> dict[str, Any] | None:
    """Name the model that there is in most cases, so that more than 404 is tried."""
    for name, right in (("model_name", _MODEL), ("model_version", _VERSION)):
        if path_parameters and name in path_parameters and len(str(path_parameters[name])) % 4:
            path_parameters[name] = right
    return path_parameters


@pytest.fixture(scope="module")
def described() -> Any:
    loaded = schemathesis.openapi.from_path(_DESCRIBED)
    loaded.hook("map_path_parameters")(ask_for_what_there_is)
    return loaded


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("described") / "model"
    with served(write_identities(folder, ["FP32", "INT64"]), name=_MODEL) as process:
        yield process


@pytest.mark.parametrize(
    ("mode", "path", "verb"), _TRIED, ids=[f"{mode.value}-{v}-{p}" for mode, p, v in _TRIED]
)
def test_answers_as_described(
    server: Process, described: Any, mode: GenerationMode, path: str, verb: str
) -> None:
    operation = described[path][verb]
    url = f"http://127.0.0.1:{server.http}"

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=_EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def check(case: schemathesis.Case[Any]) -> None:
        # No schema can say that a tensor's data must be as many as its shape says.
        case.call_and_validate(base_url=url, excluded_checks=[positive_data_acceptance])

    check()
