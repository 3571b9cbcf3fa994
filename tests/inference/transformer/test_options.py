"""What the command line says."""

import subprocess
import sys

import pytest

from components.foundation.errors import UserError
from inference.transformer.options import Options
from inference.transformer.predictor import Pin

BASE = ["--model_name", "delays", "--predictor_host", "delays-predictor.team"]
BASE += ["--feature_repository", "no.such.package", "--feature_service", "lateness"]
PINNED = ["--expected_version", "7", "--feature_registry", f"s3://b/k#sha256:{'0' * 64}"]


@pytest.mark.parametrize(
    "said",
    [
        pytest.param([], id="nothing"),
        pytest.param(PINNED[:2], id="the model alone"),
        pytest.param(PINNED[2:], id="the features alone"),
        pytest.param([*PINNED, "--unsafe_any_version"], id="both"),
    ],
)
def test_pins_both_versions_or_is_told_that_it_is_unsafe(said: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        _ = Options.parse([*BASE, *said]).pin

    assert caught.value.code == "transformer-unpinned"


def test_takes_the_pinned_version_or_any() -> None:
    pinned = Options.parse([*BASE, *PINNED]).pin
    assert pinned.version == "7"
    assert pinned.features == {"feature_service": "lateness", "feature_registry": PINNED[3]}
    assert Options.parse([*BASE, "--unsafe_any_version"]).pin == Pin(None, None)


@pytest.mark.parametrize(
    ("host", "more", "address"),
    [
        ("p.team", [], ("p.team", 80)),
        ("p.team", ["--predictor_use_ssl", "true"], ("p.team", 443)),
        ("127.0.0.1:81", [], ("127.0.0.1", 81)),
        ("[::1]:81", [], ("::1", 81)),
    ],
)
def test_reads_the_predictors_address(host: str, more: list[str], address: object) -> None:
    assert Options.parse([*BASE, "--predictor_host", host, *more]).address == address


@pytest.mark.parametrize(
    ("said", "code"),
    [
        pytest.param(["--allow_plaintext", "--allow_anonymous"], "transformer-unpinned", id="pin"),
        pytest.param([*PINNED, "--allow_anonymous"], "tls-unset", id="protection"),
        pytest.param([*PINNED, "--allow_plaintext"], "gate-unset", id="who may ask"),
    ],
)
def test_does_not_start_before_it_is_told_what_protects(said: list[str], code: str) -> None:
    command = [sys.executable, "-m", "inference.transformer", *BASE, *said]

    ended = subprocess.run(command, capture_output=True, text=True, timeout=20)

    assert ended.returncode == 2
    assert f"[{code}]" in ended.stderr
