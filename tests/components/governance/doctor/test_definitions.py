"""What an API server has of a kind is read from its own OpenAPI."""

from typing import Any

import pytest

from components.governance.doctor.checks import definitions


@pytest.mark.parametrize(
    ("node", "held"),
    [
        ({"allOf": [{"$ref": "#/components/schemas/Spec"}]}, True),
        ({"$ref": "#/components/schemas/Spec"}, True),
        ({"$ref": "#/components/schemas/Empty"}, False),
        ({"type": "object", "x-kubernetes-preserve-unknown-fields": True}, True),
        ({"type": "array", "items": {"properties": {"networks": {}}}}, True),
    ],
    ids=["wrapped", "referred to", "absent", "keeps everything", "of a list"],
)
def test_a_field_is_found_wherever_openapi_says_it(node: dict[str, Any], held: bool) -> None:
    spec: dict[str, Any] = {"properties": {"networks": {}}}
    document = {"components": {"schemas": {"Spec": spec, "Empty": {"properties": {}}}}}
    schema = definitions._Schema({"properties": {"spec": node}}, document)

    assert definitions._has(schema, "spec.networks") is held
