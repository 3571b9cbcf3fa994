"""What a sealed release says that it takes to serve it."""

import pathlib
from collections.abc import Callable

import pytest

from components.deployment import releases
from components.deployment.slots import Runtime
from components.deployment.transformer import Transformer
from components.foundation import trained_with
from components.foundation.errors import UserError
from components.foundation.sealing import release
from components.foundation.sealing.keys import KeyRing
from components.foundation.sealing.release import Release
from components.foundation.storage import ObjectStore

FEATURES = trained_with.said("lateness", "s3://falaj-features/registry.db#sha256:00")
IMAGE = "registry/transformer@sha256:00"
Seal = Callable[..., Release]


@pytest.fixture
def sealed(store: ObjectStore, tmp_path: pathlib.Path, unique: str) -> Seal:
    """Return what seals files and facts."""
    keys = KeyRing.create(tmp_path / "keys")

    def seal(*names: str, **facts: str) -> Release:
        for name in names:
            path = tmp_path / "model" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
        return release.seal(tmp_path / "model", model=unique, facts=facts, store=store, keys=keys)

    return seal


@pytest.mark.parametrize(
    ("program", "runtime"),
    [
        ("model.onnx", Runtime.ONNX),
        ("model.pt2", Runtime.TORCH),
        ("program.pt2", Runtime.TORCH),
        ("saved_model/saved_model.pb", Runtime.TENSORFLOW),
        ("saved_model.pb", Runtime.TENSORFLOW),
    ],
)
def test_the_program_that_was_sealed_chooses_the_runtime(
    sealed: Seal, program: str, runtime: Runtime
) -> None:
    assert releases.runtime(sealed(program, "signature.json", "model.json")) is runtime


@pytest.mark.parametrize("names", [("weights.bin",), ("model.onnx", "model.pt2")])
def test_refuses_a_release_without_one_program(sealed: Seal, names: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match=r"^release sealed\+s3://"):
        releases.runtime(sealed(*names))


def test_the_transformer_reads_what_the_release_was_trained_with(sealed: Seal) -> None:
    found = releases.transformer(sealed("model.onnx", **FEATURES), "a.b", image=IMAGE)

    assert found == Transformer(IMAGE, "a.b", *FEATURES.values())


def test_no_transformer_is_made_unless_its_repository_is_named(sealed: Seal) -> None:
    assert releases.transformer(sealed("model.onnx", **FEATURES), "", image=IMAGE) is None


@pytest.mark.parametrize(
    ("facts", "says"),
    [({}, "says nothing"), ({"feature_service": "lateness"}, "says feature_service")],
    ids=["nothing", "half"],
)
def test_refuses_a_transformer_for_a_release_that_hides_its_features(
    sealed: Seal, facts: dict[str, str], says: str
) -> None:
    with pytest.raises(UserError, match=says):
        releases.transformer(sealed("model.onnx", **facts), "a.b", image=IMAGE)
