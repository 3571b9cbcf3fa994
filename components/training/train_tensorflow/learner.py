"""A Keras model and its optimiser behind the shared loop."""

import io
import pathlib
from collections.abc import Callable
from functools import cached_property
from typing import Any, assert_never

import numpy as np

from components.foundation.errors import UserError
from components.training.artifact import SAVED_MODEL
from components.training.data import Arrays, Batch, Floats32
from components.training.objective import Loss
from components.training.plan import Plan
from components.training.spec import Spec

_CHUNK = 65_536  # rows scored at once


def start(build: Callable[[], Any], spec: Spec, plan: Plan) -> "KerasLearner":
    """Seed everything, then build the model: initial weights depend on the seed only.

    Raises:
        UserError: the user's function did not return a keras.Model, or its module computes
            when it is imported.
    """
    import keras
    import tensorflow as tf

    _use_one_thread()
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(plan.seed)
    model = build()
    if not isinstance(model, keras.Model):
        raise UserError(
            f"the training function returned {type(model).__name__}; expected a keras.Model "
            "that takes a dict of one tensor an input and returns a number a row",
            code="training-no-model",
        )
    return KerasLearner(model, spec, plan)


def _use_one_thread() -> None:
    """Sum in the same order on any number of cores."""
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError as error:
        raise UserError(
            "TensorFlow has computed something before the training began, on all cores, so the "
            "result would depend on their number; move what the module computes into the function",
            code="tensorflow-began-early",
        ) from error


class KerasLearner:
    """AdamW on the objective's loss."""

    def __init__(self, model: Any, spec: Spec, plan: Plan) -> None:
        import keras

        self._model = model
        self._signature = spec.signature
        self._objective = spec.objective
        self._seed = plan.seed
        self._optimiser = keras.optimizers.AdamW(
            plan.steps.learning_rate, weight_decay=plan.steps.weight_decay
        )
        self._optimiser.build(model.trainable_variables)

    @property
    def framework(self) -> tuple[str, str]:
        import tensorflow as tf

        return "tensorflow", str(tf.__version__)

    def begin(self, epoch: int) -> None:
        import tensorflow as tf

        tf.random.set_seed(self._seed * 1_000_003 + epoch)

    def learn(self, batch: Batch) -> float:
        targets = self._objective.targets(batch.labels)
        return float(self._step(dict(batch.inputs), targets, batch.weights))

    def score(self, inputs: Arrays) -> Floats32:
        rows = len(next(iter(inputs.values())))
        parts = [
            self._answer({n: a[start : start + _CHUNK] for n, a in inputs.items()}).numpy()
            for start in range(0, rows, _CHUNK)
        ]
        return np.concatenate(parts)

    def save(self) -> bytes:
        file = io.BytesIO()
        np.savez(file, *[variable.numpy() for variable in self._variables])
        return file.getvalue()

    def load(self, state: bytes) -> None:
        with np.load(io.BytesIO(state), allow_pickle=False) as arrays:
            for variable, name in zip(self._variables, arrays.files, strict=True):
                variable.assign(arrays[name])

    def weights(self) -> Arrays:
        return {v.path: v.numpy() for v in self._model.weights}

    def export(self, folder: pathlib.Path) -> None:
        """Write `saved_model/`: named tensors to what is served.

        The fingerprint goes: it holds a random id, and the same model should be the same bytes.
        """
        import tensorflow as tf

        module = tf.Module()
        module.model = self._model
        signatures = {"serving_default": self._served.get_concrete_function(**self._specs)}
        tf.saved_model.save(module, str(folder / SAVED_MODEL), signatures=signatures)
        (folder / SAVED_MODEL / "fingerprint.pb").unlink(missing_ok=True)

    @property
    def _variables(self) -> list[Any]:
        return [*self._model.variables, *self._optimiser.variables]

    @property
    def _specs(self) -> dict[str, Any]:
        import tensorflow as tf

        return {t.name: tf.TensorSpec([None], t.dtype, t.name) for t in self._signature.inputs}

    @cached_property
    def _answer(self) -> Any:
        import tensorflow as tf

        def answer(inputs: dict[str, Any]) -> Any:
            return self._objective.answer(self._model(inputs, training=False), tf.sigmoid)

        return tf.function(answer, input_signature=[self._specs])

    @cached_property
    def _served(self) -> Any:
        import tensorflow as tf

        name = self._signature.outputs[0].name
        return tf.function(lambda **inputs: {name: self._answer(inputs)})

    @cached_property
    def _step(self) -> Any:
        import tensorflow as tf

        def step(inputs: dict[str, Any], targets: Any, weights: Any) -> Any:
            with tf.GradientTape() as tape:
                losses = _losses(self._objective.loss, self._model(inputs, training=True), targets)
                loss = tf.reduce_mean(weights * losses) + sum(self._model.losses)
            trainable = self._model.trainable_variables
            self._optimiser.apply_gradients(
                zip(tape.gradient(loss, trainable), trainable, strict=True)
            )
            return loss

        floats = tf.TensorSpec([None], tf.float32)
        return tf.function(step, input_signature=[self._specs, floats, floats])


def _losses(loss: Loss, raw: Any, targets: Any) -> Any:
    """Return the loss of each row."""
    import tensorflow as tf

    match loss:
        case Loss.LOG_LOSS:
            return tf.nn.sigmoid_cross_entropy_with_logits(targets, raw)
        case Loss.SQUARED:
            return tf.square(raw - targets)
        case Loss.HUBER:
            far = tf.abs(raw - targets)
            return tf.where(far <= 1, tf.square(far) / 2, far - 0.5)
        case _:
            assert_never(loss)
