"""Batch inference: score a window of rows with the champion, as the endpoint would."""

from typing import Any

from kfp import dsl

from components.deployment.score_batch.component import score_batch
from components.features.build_training_set.component import build_training_set
from pipelines import asked, stages
from pipelines.place import Keys, Place
from pipelines.project import Project


def build(project: Project, place: Place) -> Any:
    """Build the pipeline that scores what has happened since a time."""
    features, model = project.features, project.model

    @dsl.pipeline(
        name=f"{project.name}-batch-inference",
        display_name=f"{project.name}: score a window",
        description="Bring new rows in, join features as of each row's time, score them.",
    )
    @asked.without(asked.sources_lacking(project))
    def batch_inference(
        sql_connection: str = "",
        rest_url: str = "",
        where: str = "",
        window: str = "all",
        release: str = "",
    ) -> None:
        """Score a window of rows.

        Args:
            sql_connection: SQLAlchemy URL of the sources of kind sql.
            rest_url: base URL of the sources of kind rest.
            where: SQL condition on the entity rows, e.g. a range of times.
            window: name of the window, part of the scoring set's name.
            release: sealed release to score with; empty: the champion channel's.
        """
        data = stages.prepare(
            project, place, sql_connection=sql_connection, rest_url=rest_url, as_of=""
        )
        rows = build_training_set(
            repo=features.repo,
            registry=data.registry,
            entities=data.entities,
            tables=data.feature_tables,
            feature_service=features.service,
            columns=features.columns,
            label="",
            where=where,
            target=f"s3://falaj-features/{model.name}/scoring",
        )
        place.settle(rows, name="Join features", memory="4G")
        scored = score_batch(
            rows=rows.outputs["table"],
            release=release,
            model_name=model.name,
            id_column=model.id,
            time_column=model.time,
            target=f"s3://falaj-curated/observations/{model.name}",
        )
        place.settle(scored, name="Score", keys=Keys.OPEN, retries=2)

    return batch_inference
