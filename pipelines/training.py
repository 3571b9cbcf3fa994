"""Training: from sources to a sealed candidate that has beaten the champion."""

from typing import Any

from kfp import dsl

from components.evaluation.bless.component import bless
from components.evaluation.evaluate.component import evaluate
from components.face import images
from components.features.build_training_set.component import build_training_set
from components.features.materialise.component import materialise
from components.foundation.errors import UserError
from components.preparation.profile.component import profile
from components.preparation.split.component import split
from components.release.export_onnx.component import export_onnx
from components.release.register.component import register
from components.release.scan_model.component import scan_model
from components.release.seal.component import seal
from components.release.smoke_test.component import smoke_test
from components.training.train_tensorflow.component import train_tensorflow
from components.training.train_torch.component import train_torch
from pipelines import asked, stages
from pipelines.place import Keys, Place
from pipelines.project import Estimator, Project


def torch(project: Project, place: Place) -> Any:
    """Build the pipeline that trains with PyTorch."""
    return _build(project, place, "torch", train_torch, _given(project.model.torch))


def tensorflow(project: Project, place: Place) -> Any:
    """Build the pipeline that trains with TensorFlow."""
    return _build(project, place, "tensorflow", train_tensorflow, _given(project.model.tensorflow))


def _given(estimator: Estimator | None) -> Estimator:
    if estimator is None:
        raise UserError(
            "model: the project has no estimator of this framework; add it to project.yaml",
            code="pipeline-unknown",
        )
    return estimator


def _build(project: Project, place: Place, framework: str, train: Any, estimator: Estimator) -> Any:
    @dsl.pipeline(
        name=f"{project.name}-training-{framework}",
        display_name=f"{project.name}: train with {framework}",
        description="Ingest, check, curate, build features, train, judge, seal, register.",
    )
    @asked.without(asked.sources_lacking(project))
    def training(
        sql_connection: str = "",
        rest_url: str = "",
        as_of: str = "",
        until: str = "",
        epochs: int = estimator.epochs,
        seed: int = 7,
    ) -> None:
        """Train a candidate.

        Args:
            sql_connection: SQLAlchemy URL of the sources of kind sql.
            rest_url: base URL of the sources of kind rest.
            as_of: RFC 3339 time against which freshness is judged; empty: not judged.
            until: exclusive end of what is materialised online, RFC 3339; empty: now.
            epochs: most passes over the training rows; early stopping may end sooner.
            seed: of shuffling and of initial weights.
        """
        data = stages.prepare(
            project, place, sql_connection=sql_connection, rest_url=rest_url, as_of=as_of
        )
        sets = _sets(project, place, data, until)
        model = _train(project, place, train, sets, epochs=epochs, seed=seed, with_=estimator)
        _judge_and_release(
            project, place, framework, sets=sets, model=model, registry=data.registry, seed=seed
        )

    return training


def _sets(project: Project, place: Place, data: stages.Prepared, until: Any) -> Any:
    """Join features to labels, put features online, and split by time."""
    features = project.features
    built = build_training_set(
        repo=features.repo,
        registry=data.registry,
        entities=data.entities,
        tables=data.feature_tables,
        feature_service=features.service,
        columns=features.columns,
        label=project.model.label,
        where=project.training_where,
        target=f"s3://falaj-features/{project.model.name}/training",
    )
    place.settle(built, name="Build training set", memory="4G")
    online = materialise(
        repo=features.repo, registry=data.registry, tables=data.feature_tables, end=until
    )
    place.settle(online, name="Materialise online", cached=False)
    place.reach_online_store(online)
    stages.hold(place, online, name="Gate on the online store")
    parts = split(
        table=built.outputs["table"],
        column=project.split.column,
        boundaries=project.split.boundaries,
        target=f"s3://falaj-features/{project.model.name}",
    )
    return place.settle(parts, name="Split by time")


def _train(
    project: Project,
    place: Place,
    train: Any,
    sets: Any,
    *,
    epochs: Any,
    seed: Any,
    with_: Estimator,
) -> Any:
    task = train(
        train=sets.outputs["train"],
        validation=sets.outputs["validation"],
        features=project.model.inputs,
        label=project.model.label,
        entry_point=with_.entry_point,
        task=str(project.model.task),
        loss=with_.loss,
        batch_size=with_.batch_size,
        parameters=with_.parameters,
        epochs=epochs,
        learning_rate=with_.learning_rate,
        weight_decay=with_.weight_decay,
        seed=seed,
        checkpoint="s3://falaj-runs/checkpoints",
    )
    return place.settle(task, name="Train", retries=2, cpu="2", memory="8G")


def _judge_and_release(
    project: Project,
    place: Place,
    framework: str,
    *,
    sets: Any,
    model: Any,
    registry: Any,
    seed: Any,
) -> None:
    """Scan and evaluate what will be served, bless it, try it in the real server, seal it."""
    test, label = sets.outputs["test"], project.model.label
    task = str(project.model.task)
    exported = export_onnx(model=model.outputs["model"], rows=test)
    exported.set_container_image(images()[framework])
    place.settle(exported, name="Export to ONNX", memory="4G")
    stages.hold(place, exported, name="Gate on the export")
    onnx = exported.outputs["onnx"]
    provenance = project.model.provenance.model_dump()
    scanned = place.settle(scan_model(model=onnx, **provenance), name="Scan the model's files")
    clean = stages.hold(place, scanned, name="Gate on the scan")
    evaluated = evaluate(
        model=onnx,
        test=test,
        label=label,
        slices=project.model.slices,
        seed=seed,
        task=task,
        scored=f"s3://falaj-features/{project.model.name}/scored",
    )
    place.settle(evaluated, name="Evaluate")
    blessed = bless(
        challenger=onnx,
        test=test,
        label=label,
        model_name=project.model.name,
        expectations=project.text(project.model.expectations),
        seed=seed,
        task=task,
    )
    place.settle(blessed, name="Bless against the champion", cached=False, keys=Keys.OPEN)
    good = stages.hold(place, blessed, name="Gate on the blessing")
    tried = place.settle(
        smoke_test(model=onnx, rows=test).after(good, clean), name="Smoke test in the real server"
    )
    safe = stages.hold(place, tried, name="Gate on the smoke test")
    described = profile(table=evaluated.outputs["scored"], columns=[*project.model.inputs, "score"])
    place.settle(described, name="Profile what the model saw")
    sealed = seal(
        model=onnx,
        profile=described.outputs["out"],
        evaluation=evaluated.outputs["evaluation"],
        contract=project.data_contract,
        model_name=project.model.name,
        feature_service=project.features.service,
        feature_registry=registry,
        facts={"training": sets.outputs["train"], "test": test, "provenance": provenance},
    ).after(safe)
    place.settle(sealed, name="Seal", keys=Keys.SIGN, retries=2)
    registered = register(
        release=sealed.output,
        model_name=project.model.name,
        channel="candidate",
        reason="blessed by the training pipeline",
    )
    place.settle(registered, name="Register as candidate", cached=False, keys=Keys.SIGN)
