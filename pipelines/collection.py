"""Collection: what serving pods observed, from their objects into one table."""

from typing import Any

from kfp import dsl

from components.ingestion.ingest_objects.component import ingest_objects
from pipelines.place import Place
from pipelines.project import Project


def build(project: Project, place: Place) -> Any:
    """Build the pipeline that collects observations; run it as often as monitoring looks."""
    model = project.model.name

    @dsl.pipeline(
        name=f"{project.name}-collection",
        display_name=f"{project.name}: collect observations",
        description="Bring the observations that serving pods wrote into one table, once each.",
    )
    def collection(source: str = f"s3://falaj-raw/observations/{model}/*.jsonl") -> None:
        """Collect observations.

        Args:
            source: objects that serving pods wrote.
        """
        collected = ingest_objects(
            source=source, format="jsonl", target=f"s3://falaj-curated/live/{model}"
        )
        place.settle(collected, name="Collect observations", cached=False, retries=3)

    return collection
