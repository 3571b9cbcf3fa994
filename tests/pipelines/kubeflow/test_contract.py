"""The contract that tests hold us to: KFP's own description, or the wheel that was made of it."""

import ast
import inspect
import os
import pathlib

import pytest

from pipelines.kubeflow import client
from tests.pipelines.kubeflow import contract
from tests.pipelines.kubeflow.contract import Contract, Operation

USED = {
    "GET /apis/v2beta1/healthz",
    "GET /apis/v2beta1/pipelines/names/{name}",
    "POST /apis/v2beta1/pipelines",
    "GET /apis/v2beta1/pipelines/{pipeline_id}/versions",
    "PATCH /apis/v2beta1/pipelines/{pipeline_version.pipeline_id}/versions/"
    "{pipeline_version.pipeline_version_id}",
    "POST /apis/v2beta1/pipelines/upload_version",
    "GET /apis/v2beta1/experiments",
    "POST /apis/v2beta1/experiments",
    "GET /apis/v2beta1/runs",
    "POST /apis/v2beta1/runs",
    "GET /apis/v2beta1/runs/{run_id}",
    "GET /apis/v2beta1/recurringruns",
    "POST /apis/v2beta1/recurringruns",
    "DELETE /apis/v2beta1/recurringruns/{recurring_run_id}",
    "POST /apis/v2beta1/recurringruns/{recurring_run_id}:enable",
    "POST /apis/v2beta1/recurringruns/{recurring_run_id}:disable",
}
WHEEL = contract.of_wheel()


def named(given: Contract) -> dict[str, Operation]:
    return {str(one): one for one in given.operations}


def definition(given: Contract, name: str) -> contract.Schema:
    return next(schema for key, schema in given.asked.items() if key.lower() == name.lower())


def test_the_operations_that_we_use_are_these() -> None:
    calls = contract.calls()
    source = ast.parse(inspect.getsource(client))
    attributes = {node.attr for node in ast.walk(source) if isinstance(node, ast.Attribute)}

    assert {str(calls[name]) for name in attributes & set(calls)} == USED
    assert len(WHEEL.operations) > 30


def test_a_request_names_the_operation_and_not_one_that_looks_alike() -> None:
    found = WHEEL.operation("POST", "/apis/v2beta1/pipelines/upload_version")

    assert found is not None
    assert found.files == {"uploadfile"}
    assert WHEEL.operation("POST", "/apis/v2beta1/pipelines/upload_versions") is None
    assert WHEEL.operation("PUT", "/apis/v2beta1/pipelines") is None


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"display_name": "x", "nmae": "x"}, "'nmae' was unexpected"),
        ({"display_name": 7}, "7 is not of type 'string'"),
        ({"description": "x"}, "'display_name' is a required property"),
        ({"display_name": "x", "run_id": "y"}, "'run_id' was unexpected"),
        ({"display_name": "x", "runtime_config": {"root": "y"}}, "'root' was unexpected"),
    ],
    ids=["unknown", "type", "required", "given by KFP", "inside"],
)
def test_a_body_that_departs_from_its_schema_is_found(body: contract.Schema, told: str) -> None:
    operation = named(WHEEL)["POST /apis/v2beta1/runs"]
    assert operation.body is not None

    found = WHEEL.complaints(body, operation.body, asked=True)

    assert any(told in one for one in found), found


@pytest.mark.skipif("KFP_API" not in os.environ, reason="KFP_API names no description")
def test_the_wheel_and_the_description_agree_on_what_we_use() -> None:
    described = contract.described(pathlib.Path(os.environ["KFP_API"]))
    theirs, ours = named(described), named(WHEEL)

    for name in USED:
        assert set(ours[name].query) <= set(theirs[name].query), name
        assert ours[name].files == theirs[name].files, name
        assert (ours[name].body is None) == (theirs[name].body is None), name
    for name in ("v2beta1Run", "v2beta1RecurringRun", "v2beta1Pipeline", "v2beta1RuntimeConfig"):
        both = [definition(one, name) for one in (described, WHEEL)]
        assert set(both[0]["properties"]) <= set(both[1]["properties"]), name
        assert set(both[0]["required"]) >= set(both[1]["required"]), name
