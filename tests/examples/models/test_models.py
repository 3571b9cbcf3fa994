import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from components.evaluation.runtime import ServedModel
from components.foundation.errors import UserError
from components.training import artifact, data
from components.training.artifact import Card
from components.training.plan import Aim, Length, Plan, Steps
from components.training.spec import Spec
from examples.flights.models import faulty

pytestmark = pytest.mark.usefixtures("frameworks")

CARRIERS = 17  # unknown and sixteen


@pytest.fixture
def spec() -> Spec:
    random = np.random.default_rng(1)
    table = pa.table(
        {
            "wind": [float("nan"), *random.normal(12, 3, 199)],
            "carrier_code": [CARRIERS - 1, *random.integers(0, CARRIERS, 199)],
            "hour_departures": pa.array(random.integers(1, 30, 200)),
            "late": [0, 1] * 100,
        }
    )
    signature = data.signature(table, ["wind", "carrier_code", "hour_departures"])
    return Spec.of(signature, data.labelled(table, signature, label="late"))


def _inputs(code: int, *, wind: float = 12.0, count: int = 1) -> dict[str, np.ndarray]:
    return {
        "wind": np.full(count, wind, np.float32),
        "carrier_code": np.full(count, code),
        "hour_departures": np.full(count, 10),
    }


def _torch(spec: Spec, **parameters: Any) -> Any:
    from components.training.train_torch import learner
    from examples.flights.models import torch_mlp

    plan = Plan(Aim(), Steps(10, 0.01), Length(1, 1), seed=1)
    return learner.start(lambda: torch_mlp.build(spec, **parameters), spec, plan)


def _keras(spec: Spec, **parameters: Any) -> Any:
    from components.training.train_tensorflow import learner
    from examples.flights.models import tensorflow_linear

    plan = Plan(Aim(), Steps(10, 0.01), Length(1, 1), seed=1)
    return learner.start(lambda: tensorflow_linear.build(spec, **parameters), spec, plan)


@pytest.mark.parametrize("learner", [_torch, _keras], ids=["torch", "tensorflow"])
def test_models_fill_what_is_missing_and_take_unknown_codes_for_zero(
    learner: Callable[..., Any], spec: Spec
) -> None:
    model = learner(spec)

    unknown = model.score(_inputs(0))
    assert np.isfinite(model.score(_inputs(3, wind=float("nan")))).all()
    assert model.score(_inputs(CARRIERS)) == unknown
    assert model.score(_inputs(-1)) == unknown
    assert model.score(_inputs(CARRIERS - 1)) != unknown


@pytest.mark.parametrize("learner", [_torch, _keras], ids=["torch", "tensorflow"])
def test_extreme_numbers_do_not_run_away(learner: Callable[..., Any], spec: Spec) -> None:
    model = learner(spec)

    assert model.score(_inputs(3, wind=1e30)) == model.score(_inputs(3, wind=1e9))


def test_integers_that_are_no_codes_count_as_numbers(spec: Spec) -> None:
    names = {name for name in _torch(spec).weights() if name.startswith("codes.")}

    assert names == {"codes.carrier_code.table.weight"}


@pytest.fixture
def exported(spec: Spec, tmp_path: pathlib.Path) -> pathlib.Path:
    from components.release.export_onnx import export

    source = tmp_path / "source"
    source.mkdir()
    _torch(spec).export(source)
    card = Card("torch", "2", "a:b", "", {}, {}, "t@1", "v@1", "late", 9, 0.5, 1, 1, "sha256:0")
    artifact.write(source, spec.signature, card)
    export.export(source, tmp_path / "onnx")
    return tmp_path / "onnx"


def test_a_truncated_model_fails_on_the_carriers_cut_off_and_on_no_others(
    exported: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    faulty.truncate(exported, tmp_path / "faulty")

    good, bad = ServedModel.open(exported), ServedModel.open(tmp_path / "faulty")
    for code in range(faulty.KEEP):
        assert bad.run(_inputs(code)) == good.run(_inputs(code))
    for code in range(faulty.KEEP, CARRIERS):
        with pytest.raises(UserError, match="in Gather"):
            bad.run(_inputs(code))


def test_truncates_in_place_what_is_read_only(exported: pathlib.Path) -> None:
    (exported / "model.onnx").chmod(0o400)

    faulty.truncate(exported, exported)

    with pytest.raises(UserError):
        ServedModel.open(exported).run(_inputs(CARRIERS - 1))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"code": "wind"}, "no table is looked up by 'wind'"),
        ({"keep": CARRIERS}, "has 17 rows; expected to keep fewer"),
    ],
    ids=["no code", "nothing cut"],
)
def test_refuses_to_make_a_faulty_model_that_is_not_faulty(
    exported: pathlib.Path, tmp_path: pathlib.Path, more: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        faulty.truncate(exported, tmp_path / "faulty", **more)


def test_about_a_tenth_of_julys_flights_hit_the_fault() -> None:
    from examples.flights import published

    flights = published.flights()
    codes = {name: i for i, name in enumerate(sorted(set(flights["carrier"])), start=1)}
    july = flights.filter(flights["month"] == 7)["carrier"]

    share = np.mean([codes[carrier] >= faulty.KEEP for carrier in july])
    assert len(codes) == CARRIERS - 1
    assert 0.08 < share < 0.15
