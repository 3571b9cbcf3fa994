"""The description of the REST routes is one, and describes what the codecs and routes do."""

import json
import pathlib
from collections.abc import Iterator
from typing import Any

import jsonschema
import numpy as np
import pytest
import yaml

from components.foundation.signature import DTYPES, Signature, Tensor
from inference.server.protocol import rest, v1
from inference.server.routes import Verb, route

TEXT = pathlib.Path(rest.__file__).with_name("openapi.yaml").read_text(encoding="utf-8")
OPENAPI: dict[str, Any] = yaml.safe_load(TEXT)
OPERATIONS = [
    (path, method, operation)
    for path, item in OPENAPI["paths"].items()
    for method, operation in item.items()
    if method != "parameters"
]
SIGNATURE = Signature(
    tuple(Tensor(datatype, datatype) for datatype in DTYPES), (Tensor("y", "FP32"),)
)
REQUEST = {
    "id": "r-1",
    "parameters": {"ids": ["a"], "timeout": 1, "binary_data_output": False},
    "inputs": [
        {
            "name": datatype,
            "datatype": datatype,
            "shape": [1],
            "data": [{"BOOL": True, "BYTES": "a"}.get(datatype, 1)],
        }
        for datatype in DTYPES
    ],
    "outputs": [{"name": "y", "parameters": {"binary_data": False}}],
}
OUTPUTS = {"y": np.array([np.nan], np.float32)}


def validate(value: Any, name: str) -> None:
    schema = {"$ref": f"#/components/schemas/{name}", "components": OPENAPI["components"]}
    jsonschema.validate(value, schema, cls=jsonschema.Draft4Validator)


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        value = list(value.values())
    for member in value if isinstance(value, list) else []:
        yield from references(member)


def resolved(reference: str) -> Any:
    found: Any = OPENAPI
    for name in reference.removeprefix("#/").split("/"):
        found = found[name]
    return found


def test_every_reference_leads_somewhere_and_every_part_is_used() -> None:
    used = set(references(OPENAPI))

    assert all(resolved(reference) for reference in used)
    parts = {
        f"#/components/{kind}/{name}"
        for kind in ("schemas", "responses", "parameters", "headers")
        for name in OPENAPI["components"][kind]
    }
    assert parts == used


@pytest.mark.parametrize("name", OPENAPI["components"]["schemas"])
def test_every_schema_is_one(name: str) -> None:
    jsonschema.Draft4Validator.check_schema(OPENAPI["components"]["schemas"][name])


def test_operations_have_names_of_their_own() -> None:
    names = [operation["operationId"] for _, _, operation in OPERATIONS]

    assert len(set(names)) == len(names)


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_every_path_is_a_route_with_that_method(path: str, method: str, operation: Any) -> None:
    found = route(path.replace("{model_name}", "m").replace("{model_version}", "3"))

    assert found.verb.method == method.upper()
    assert (found.model == "m") is ("{model_name}" in path)
    assert (found.version == "3") is ("{model_version}" in path)
    assert ("404" in operation["responses"]) is ("{model_name}" in path)
    assert ("415" in operation["responses"]) is (found.verb in {Verb.INFER, Verb.V1_PREDICT})
    assert "422" not in operation["responses"]


@pytest.mark.parametrize("path", OPENAPI["paths"])
def test_every_path_takes_a_trace(path: str) -> None:
    taken = [resolved(part["$ref"]) for part in OPENAPI["paths"][path]["parameters"]]

    names = {part["name"] for part in taken if part["in"] == "header" and not part["required"]}
    assert names == {"traceparent", "tracestate"}


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_every_answer_may_name_its_trace_but_one_without_a_head(
    path: str, method: str, operation: Any
) -> None:
    for status, told in operation["responses"].items():
        answer = resolved(told["$ref"]) if "$ref" in told else told
        assert ("traceparent" in answer.get("headers", {})) is (status != "431")


def test_every_route_is_described() -> None:
    paths = [path.replace("{model_name}", "m") for path, _, _ in OPERATIONS]

    assert {route(path).verb for path in paths} == set(Verb)


def test_the_datatypes_are_those_of_signatures() -> None:
    assert set(OPENAPI["components"]["schemas"]["Datatype"]["enum"]) == set(DTYPES)


def test_what_the_codecs_take_and_give_is_as_described() -> None:
    parsed = rest.parse(json.dumps(REQUEST).encode(), SIGNATURE)
    written, _ = rest.encode(parsed, OUTPUTS, model="m", version="1")
    metadata = rest.metadata(SIGNATURE, name="m", versions=["1"], platform="p")

    validate(REQUEST, "InferRequest")
    validate(json.loads(written), "InferResponse")
    validate(metadata, "ModelMetadata")
    validate(json.loads(rest.error("no")), "Error")
    validate(json.loads(v1.encode(parsed, OUTPUTS)), "PredictResponse")


@pytest.mark.parametrize("value", [{"instances": [1]}, {"inputs": {"x": [1]}}])
def test_v1_takes_what_is_described(value: Any) -> None:
    validate(value, "PredictRequest")

    v1.parse(json.dumps(value).encode(), Signature((Tensor("x", "FP32"),), SIGNATURE.outputs))
