"""What KServe's webhook denies, the stand-in denies in the same words, through the API server."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from components.foundation.errors import FalajError
from components.foundation.kubernetes.client import Cluster, Manifest
from tests.cluster.ground.clients import Access
from tests.cluster.standin import denials
from tests.cluster.standin.api import Api
from tests.inference.plane.kube import service, until

FIRST, SECOND = "sealed+s3://falaj-models/m/1", "sealed+s3://falaj-models/m/2"
MODE = "serving.kserve.io/deploymentMode"
MODEL = {"name": "", "modelFormat": {"name": "falaj-onnx"}, "storageUri": FIRST}
DENIED = " denied request: "


def canary(percent: int, **predictor: Any) -> Manifest:
    return {"trafficPercent": percent, "predictor": predictor}


def asked(*canaries: Manifest, uri: str = FIRST, mode: str = "", **predictor: Any) -> Manifest:
    wanted = service("n2", uri, **predictor)
    wanted["spec"] |= {"canary": list(canaries)} if canaries else {}
    wanted["metadata"] |= {"annotations": {MODE: mode}} if mode else {}
    return wanted


def python_path() -> Manifest:
    wanted = asked()
    wanted["spec"]["predictor"]["model"]["env"] = [{"name": "PYTHONPATH", "value": "/x"}]
    return wanted


@pytest.fixture(scope="module")
def cluster(ground: Access) -> Iterator[Cluster]:
    """A namespace whose InferenceServices are asked about, with the service `n1` in it."""
    namespace = f"denials-{uuid.uuid4().hex[:6]}"
    ground.kubectl("create", "namespace", namespace)
    with ground.client() as client:
        api = Api(client, namespace)
        with denials.told(api):
            cluster = Cluster(client, namespace)
            until(lambda: _refuses(cluster), seconds=30)
            cluster.apply(asked())
            yield cluster
    ground.kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (asked(canary(80, name="v2"), canary(40, name="v3")),
         "sum of canary trafficPercent values (120) must be <= 100"),
        (asked(canary(10)), "canary[0] predictor.name is required"),
        (asked(canary(10, name="v2"), name="v2", uri=SECOND),
         'canary predictor.name "v2" conflicts with stable predictor name'),
        (asked(canary(10, name="v3", maxReplicas=2)),
         'canary "v3" must not set maxReplicas (canary uses fixed replicas)'),
        (asked(mode="Knative"),
         "update rejected: deploymentMode cannot be changed from 'Standard' to 'Knative'"),
        (asked(name="v2"), "predictor.name change requires a model change (e.g. storageUri)"),
        (asked(minReplicas=3, maxReplicas=2), "'MinReplicas' cannot be greater than MaxReplicas"),
        (python_path(),
         'the InferenceService "n2" is invalid: setting PYTHONPATH in container "" is not allowed '
         "for security reasons"),
    ],
    ids=["sum", "name", "conflict", "maximum", "mode", "rename", "replicas", "path"],
)  # fmt: skip
def test_a_denial_has_the_recorded_words(cluster: Cluster, wanted: Manifest, words: str) -> None:
    with pytest.raises(FalajError) as caught:
        cluster.apply(wanted)

    assert DENIED + words in str(caught.value)


def test_a_canary_needs_standard_mode(cluster: Cluster) -> None:
    wanted = asked(canary(10, name="v2"), mode="Knative")
    wanted["metadata"]["name"] = "k"

    with pytest.raises(FalajError, match="canary is only supported in Standard deployment mode"):
        cluster.apply(wanted)


@pytest.mark.parametrize("percent", [110, -1])
def test_a_percentage_beyond_all_is_denied(cluster: Cluster, percent: int) -> None:
    with pytest.raises(FalajError, match="trafficPercent"):
        cluster.apply(asked(canary(percent, name="v2")))


@pytest.mark.parametrize(
    "wanted",
    [
        asked(canary(10, name="same", model=MODEL)),
        asked(uri=SECOND, canaryTrafficPercent=10),
        {**asked(), "metadata": {"name": "n" * 60}},
    ],
    ids=["the stable's model", "a percentage for Knative", "a long name"],
)
def test_what_is_wrong_and_was_accepted_is_accepted(cluster: Cluster, wanted: Manifest) -> None:
    cluster.apply(wanted)


def _refuses(cluster: Cluster) -> bool:
    """Say whether the API server has heard of the rules."""
    try:
        cluster.apply({**asked(minReplicas=3, maxReplicas=2), "metadata": {"name": "early"}})
    except FalajError as error:
        return DENIED in str(error)
    return False
