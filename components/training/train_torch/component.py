"""Train a PyTorch model from a user's function.

Reads: two tables whole, into memory (training and validation rows).
Writes: a model folder (program.pt2, signature.json, model.json), a learning curve, metrics;
    with `checkpoint`, one object an epoch, replaced.
Needs: image torch; the package that holds the entry point, in the image.
Fails when: a feature or the label is missing or no number; labels are of one class; the
    user's function raises or returns the wrong thing ("your code failed"); the loss becomes
    NaN. Killed and run again it goes on after the last whole epoch.
"""

from typing import NamedTuple

from kfp import dsl

from components.face import component


@component("torch")
def train_torch(
    train: str,
    validation: str,
    features: list,
    label: str,
    entry_point: str,
    model: dsl.Output[dsl.Model],
    curve: dsl.Output[dsl.HTML],
    metrics: dsl.Output[dsl.Metrics],
    parameters: dict = {},  # noqa: B006 - kfp wants the default in the signature
    epochs: int = 8,
    batch_size: int = 2048,
    learning_rate: float = 0.003,
    weight_decay: float = 0.0,
    patience: int = 2,
    class_weight: str = "none",
    seed: int = 1,
    checkpoint: str = "",
    task: str = "classification",
    loss: str = "",
) -> NamedTuple("Outputs", [("epochs_run", int), ("summary", dict)]):
    """Train a PyTorch model from a user's function.

    Args:
        train: table of training rows, e.g. s3://falaj-features/flights-train@3.
        validation: table of rows to stop by; later in time than the training rows.
        features: columns the model takes, in order; integers become INT64, floats FP32.
        label: column with 0 or 1, or of a regression a number; rows where it is null are left
            out, and counted.
        entry_point: function that builds the model, package.module:function; it gets a Spec
            and the parameters and returns a torch.nn.Module that takes one tensor a feature
            by keyword and returns one number a row (see `task`).
        model: folder with program.pt2, signature.json and model.json.
        curve: the learning curve.
        metrics: rows, epochs, validation metrics, rows a second.
        parameters: keyword arguments of the function.
        epochs: at most this many passes over the rows.
        batch_size: rows a step.
        learning_rate: of AdamW.
        weight_decay: of AdamW, apart from the loss (Loshchilov and Hutter, arXiv 1711.05101).
        patience: stop after this many epochs without a lower validation loss.
        class_weight: none, or balanced (both classes weigh the same in the loss; scores are
            then no longer calibrated).
        seed: decides initial weights and the order of rows.
        checkpoint: s3:// prefix for checkpoints, so that a killed step goes on; empty for none.
        task: classification (the model gives a logit a row; probabilities are served) or
            regression (it gives by how many standard deviations a label is off the mean of the
            training labels; numbers in the label's own unit are served).
        loss: of a regression, squared or huber (far-off labels pull less); empty: squared.

    Returns:
        How many epochs ran; the metrics of the best on the validation rows.
    """
    from components.step import step
    from components.training.job import Job, Source, run
    from components.training.plan import Aim, Length, Plan, Steps
    from components.training.train_torch.learner import start

    with step("train_torch") as here:
        aim, length = Aim.parse(task, loss, class_weight), Length(epochs, patience)
        how = Plan(aim, Steps(batch_size, learning_rate, weight_decay), length, seed)
        source = Source(here.reads(train), here.reads(validation), features, label)
        job = Job.of(source, entry_point, parameters, how)
        trained = run(job, start, model.path, here.tables, here.store, checkpoint=checkpoint)
        here.publish(curve, trained.page(), epochs=trained.history.points())
        here.log(metrics, trained.numbers())
        here.describe(model, framework="torch", **trained.facts())
        return trained.result
