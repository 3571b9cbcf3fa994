"""What a client gives, what the store gives, and what becomes of both."""

import json
from typing import Any

import numpy as np
import pytest

from components.foundation.errors import UserError
from components.foundation.signature import Signature, Tensor
from inference.server.protocol import rest
from inference.server.protocol.messages import InferRequest, Rejected
from inference.transformer.plan import Columns, Plan

KEYS = (Tensor("carrier", "BYTES"),)
MODEL = Signature(
    (
        Tensor("late_rate", "FP64", (-1, 1)),
        Tensor("carrier", "BYTES"),
        Tensor("flights", "INT32"),
        Tensor("distance", "FP32"),
    ),
    (Tensor("probability", "FP32"), Tensor("class", "INT64")),
)
FOUND: Columns = {"late_rate": [0.1, None], "flights": [7, 9]}


@pytest.fixture
def plan() -> Plan:
    return Plan.of(MODEL, version="1", keys=KEYS, features=["late_rate", "flights", "seats"])


def request(plan: Plan, **more: Any) -> InferRequest:
    values = {"carrier": ["AA", "BB"], "distance": [100.0, 200.0]}
    inputs = [
        {"name": t.name, "datatype": t.datatype, "shape": [2], "data": values[t.name]}
        for t in plan.asked.inputs
    ]
    return rest.parse(json.dumps({"inputs": inputs, **more}).encode(), plan.asked)


def test_a_client_gives_keys_and_what_the_store_does_not(plan: Plan) -> None:
    assert [tensor.name for tensor in plan.asked.inputs] == ["carrier", "distance"]
    assert [tensor.name for tensor in plan.stored] == ["late_rate", "flights"]


def test_inputs_come_in_order_type_and_shape_of_the_signature(plan: Plan) -> None:
    asked = request(plan)

    made = plan.inputs(asked, plan.entities(asked), FOUND)

    assert list(made) == ["late_rate", "carrier", "flights", "distance"]
    assert [values.dtype for values in made.values()] == [t.dtype for t in MODEL.inputs]
    np.testing.assert_array_equal(made["late_rate"], [[0.1], [np.nan]])
    assert made["carrier"].tolist() == [b"AA", b"BB"]
    assert made["flights"].tolist() == [7, 9]
    assert made["distance"].tolist() == [100.0, 200.0]


def test_what_is_written_reads_back_the_same(plan: Plan) -> None:
    asked = request(plan, id="mine", parameters={"ids": ["a", "b"]}, outputs=[{"name": "class"}])
    made = plan.inputs(asked, plan.entities(asked), FOUND)

    body, length = plan.encode(asked, made, seconds=0.25)

    read = rest.parse(body, MODEL, json_length=length)
    assert (read.id, read.ids, read.timeout) == ("mine", ("a", "b"), 0.25)
    assert [wanted.name for wanted in read.outputs] == ["class"]
    for name, values in made.items():
        np.testing.assert_array_equal(read.inputs[name], values)


@pytest.mark.parametrize(
    ("flights", "status", "said"),
    [
        pytest.param([7, None], 400, "carrier 'BB': the store has no 'flights'", id="missing"),
        pytest.param([7, 1.5], 500, "'flights' does not fit the model's INT32", id="a float"),
        pytest.param([7, 1 << 40], 500, "'flights' does not fit", id="too large"),
    ],
)
def test_never_makes_an_integer_up(plan: Plan, flights: list[Any], status: int, said: str) -> None:
    asked = request(plan)

    with pytest.raises(Rejected, match=said) as caught:
        plan.inputs(asked, plan.entities(asked), {**FOUND, "flights": flights})

    assert caught.value.status == status


@pytest.mark.parametrize(
    ("model", "features"),
    [
        pytest.param(MODEL, ["seats"], id="another service"),
        pytest.param(Signature((Tensor("v", "FP32", (-1, 8)),), ()), ["v"], id="a vector"),
    ],
)
def test_refuses_features_that_do_not_fit(model: Signature, features: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        Plan.of(model, version="1", keys=KEYS, features=features)

    assert caught.value.code == "transformer-features"
