"""The schemas must refuse what an API server refuses, or the overlays' test proves nothing."""

import copy
from typing import Any

import pytest

from tests.manifests.schemas import Schemas

SERVICE: dict[str, Any] = {
    "apiVersion": "serving.kserve.io/v1beta1",
    "kind": "InferenceService",
    "metadata": {"name": "late-a"},
    "spec": {
        "predictor": {
            "serviceAccountName": "falaj-serving",
            "model": {
                "modelFormat": {"name": "falaj-onnx"},
                "protocolVersion": "v2",
                "storageUri": "sealed+s3://falaj-models/late/0123456789ab",
                "resources": {"requests": {"cpu": 1, "memory": "1Gi"}},
            },
        }
    },
}
ROUTE: dict[str, Any] = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "HTTPRoute",
    "metadata": {"name": "late"},
    "spec": {
        "parentRefs": [{"name": "falaj"}],
        "hostnames": ["late.falaj.example"],
        "rules": [{"backendRefs": [{"name": "late-a-predictor", "port": 80, "weight": 100}]}],
    },
}


@pytest.mark.parametrize("thing", [SERVICE, ROUTE], ids=["InferenceService", "HTTPRoute"])
def test_accepts_a_right_object(known: Schemas, thing: dict[str, Any]) -> None:
    assert known.errors(thing) == []


def test_refuses_a_misspelt_field(known: Schemas) -> None:
    wrong = copy.deepcopy(SERVICE)
    wrong["spec"]["predictor"]["modle"] = wrong["spec"]["predictor"].pop("model")

    [error] = known.errors(wrong)

    assert "modle" in error


def test_refuses_a_wrong_type(known: Schemas) -> None:
    wrong = copy.deepcopy(SERVICE)
    wrong["spec"]["predictor"]["minReplicas"] = "two"

    [error] = known.errors(wrong)

    assert error.startswith("$.spec.predictor.minReplicas")


def test_refuses_an_explicit_null(known: Schemas) -> None:
    wrong = copy.deepcopy(SERVICE)
    wrong["spec"]["predictor"]["canary"] = None

    assert known.errors(wrong)


def test_refuses_an_object_without_what_is_required(known: Schemas) -> None:
    runtime = {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ClusterServingRuntime",
        "metadata": {"name": "r"},
        "spec": {"multiModel": False},
    }

    [error] = known.errors(runtime)

    assert "containers" in error


def test_refuses_a_weight_that_is_text(known: Schemas) -> None:
    wrong = copy.deepcopy(ROUTE)
    wrong["spec"]["rules"][0]["backendRefs"][0]["weight"] = "100"

    [error] = known.errors(wrong)

    assert "weight" in error


def test_refuses_a_kind_that_it_does_not_know(known: Schemas) -> None:
    [error] = known.errors({"apiVersion": "falaj.example/v1", "kind": "Channel"})

    assert "no schema for falaj.example/v1 Channel" in error
