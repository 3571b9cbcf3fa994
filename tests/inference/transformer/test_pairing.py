"""From sealing to serving: a transformer pairs with the model of its own features only."""

import pathlib
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from components.foundation import trained_with
from components.foundation.sealing import release
from components.foundation.sealing.keys import KeyRing
from components.foundation.storage import ObjectStore
from tests.inference.models import write_model
from tests.inference.processes import served
from tests.inference.transformer.conftest import MODEL, Asked, Transform

LATENESS = trained_with.said("lateness", f"s3://falaj-features/registry.db#sha256:{'1' * 64}")
MOVED_ON = trained_with.said("lateness", f"s3://falaj-features/registry.db#sha256:{'2' * 64}")
WEATHER = trained_with.said("weather", LATENESS["feature_registry"])


class Running(NamedTuple):
    """A server of a sealed release."""

    port: int
    version: str


@pytest.fixture
def predictor(store: ObjectStore, tmp_path: pathlib.Path, unique: str) -> Iterator[Running]:
    """A server of a release that was sealed with the features it was trained with."""
    keys = KeyRing.create(tmp_path / "keys")
    plain = write_model(tmp_path / "plain")
    facts = {**LATENESS, "test": unique}
    sealed = release.seal(plain, model=MODEL, facts=facts, store=store, keys=keys)
    release.unseal(sealed.uri, tmp_path / "model", store=store, keys=keys)
    with served(tmp_path / "model", name=MODEL) as process:
        yield Running(process.http, sealed.version)


def test_the_server_tells_what_its_release_was_trained_with(predictor: Running) -> None:
    _, told, _ = Asked(predictor.port)(f"/v2/models/{MODEL}")

    assert told["parameters"] == LATENESS


@pytest.mark.parametrize(
    ("features", "status"),
    [
        pytest.param(LATENESS, 200, id="its own"),
        pytest.param(WEATHER, 503, id="another service"),
        pytest.param(MOVED_ON, 503, id="other definitions"),
    ],
)
def test_another_feature_service_is_not_paired_with_the_release(
    predictor: Running, transform: Transform, features: dict[str, str], status: int
) -> None:
    ask = transform(predictor.port, expected=predictor.version, features=features)

    assert ask.infer("AA1")[0] == status
    assert ask("/v2/health/ready")[0] == status
