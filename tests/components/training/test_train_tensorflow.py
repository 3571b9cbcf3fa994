import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from kfp import dsl

from components.training import artifact
from components.training.train_tensorflow.component import train_tensorflow

pytestmark = pytest.mark.usefixtures("frameworks")

ENTRY = "examples.flights.models.tensorflow_linear:build"


@pytest.fixture
def train(training: dict[str, Any], tmp_path: pathlib.Path) -> Callable[..., Any]:
    def run(name: str = "model", entry_point: str = ENTRY, **more: Any) -> Any:
        folder = tmp_path / name
        outputs = train_tensorflow.python_func(
            **{**training, "entry_point": entry_point, "learning_rate": 0.02, **more},
            model=dsl.Model(uri=str(folder)),
            curve=dsl.HTML(uri=str(tmp_path / f"{name}.html")),
            metrics=dsl.Metrics(uri=str(tmp_path / f"{name}.metrics")),
        )
        return folder, outputs

    return run


def test_writes_a_saved_model_that_takes_any_batch_by_name(train: Any) -> None:
    import tensorflow as tf

    folder, (epochs, summary) = train()

    model = artifact.read(folder)
    loaded = tf.saved_model.load(str(folder / "saved_model"))
    serve = loaded.signatures["serving_default"]
    assert {p.name for p in folder.iterdir()} == {"saved_model", "signature.json", "model.json"}
    assert model.card.framework == "tensorflow"
    assert (epochs, summary["auc"] > 0.65) == (3, True)
    for count in (1, 77):
        nothing = tf.fill([count], np.float32("nan"))
        code = tf.fill([count], np.int64(10**6))
        answer = serve(wind=nothing, hour=nothing, carrier_code=code, seats=nothing)
        assert answer["probability"].shape == (count,)
        assert np.isfinite(answer["probability"].numpy()).all()


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another(train: Any) -> None:
    first, again, other = (train(str(i), seed=seed)[0] for i, seed in enumerate((1, 1, 2)))

    assert artifact.read(first).card == artifact.read(again).card
    assert artifact.read(first).card.weights != artifact.read(other).card.weights


def test_trains_on_one_thread_so_that_cores_do_not_count(train: Any) -> None:
    import tensorflow as tf

    train(epochs=1)

    threading = tf.config.threading
    assert threading.get_intra_op_parallelism_threads() == 1
    assert threading.get_inter_op_parallelism_threads() == 1


def test_goes_on_from_a_checkpoint_with_the_same_weights(
    train: Any, unique: str, capsys: pytest.CaptureFixture[str]
) -> None:
    prefix = f"s3://falaj-runs/checkpoints/{unique}"
    whole, _ = train("whole", epochs=4)
    train("begun", epochs=2, checkpoint=prefix)
    resumed, (epochs, *_) = train("resumed", epochs=4, checkpoint=prefix)

    assert "resumed after epoch 2" in capsys.readouterr().out
    assert epochs == 4
    assert artifact.read(resumed).card.weights == artifact.read(whole).card.weights


def test_a_function_at_fault_ends_the_step_with_exit_code_2(
    train: Any, user_code: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    module = user_code("def build(spec): return 'a model'")

    with pytest.raises(SystemExit) as ended:
        train(entry_point=f"{module}:build")

    assert ended.value.code == 2
    assert "returned str; expected a keras.Model" in capsys.readouterr().err


@pytest.mark.parametrize("loss", ["squared", "huber"])
def test_a_regression_answers_in_the_labels_own_unit(train: Any, loss: str) -> None:
    plan = {"task": "regression", "loss": loss, "epochs": 4, "learning_rate": 0.05}
    folder, (_, summary) = train(**plan, label="hour", features=["wind", "carrier_code", "seats"])

    model = artifact.read(folder)
    assert model.signature.outputs[0].name == "prediction"
    assert 6 < summary["rmse"] < 9, "hours run evenly from 0 to 24, whatever the inputs"
    assert model.card.band
    assert model.card.band[0] < 0 < model.card.band[1]
