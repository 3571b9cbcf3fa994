"""Monitoring: what the champion saw against what it was trained on, and how right it was."""

from typing import Any

from kfp import dsl

from components.foundation.statistics.task import Task
from components.monitoring.detect_drift.component import detect_drift
from components.monitoring.measure_performance.component import measure_performance
from components.preparation.profile.component import profile
from components.release.open_profile.component import open_profile
from pipelines import asked
from pipelines.place import Keys, Place
from pipelines.project import Project


def build(project: Project, place: Place) -> Any:
    """Build the pipeline that judges a window of observations."""
    model = project.model
    classes = model.task is Task.CLASSIFICATION

    @dsl.pipeline(
        name=f"{project.name}-monitoring",
        display_name=f"{project.name}: monitor a window",
        description="Profile what was seen, compare with training, join labels that came late.",
    )
    @asked.without({"max_rmse" if classes else "min_auc"})
    def monitoring(
        observations: str = f"s3://falaj-curated/observations/{model.name}@latest",
        labels: str = f"s3://falaj-curated/{project.labels}@latest",
        since: str = "",
        until: str = "",
        measured_since: str = "",
        release: str = "",
        min_auc: float = 0.6,
        max_rmse: float = 0.0,
    ) -> None:
        """Judge a window of observations.

        Args:
            observations: table of what was predicted.
            labels: table of what came true, with the time it became known.
            since: first date of the window, YYYY-MM-DD; empty: all there is.
            until: end of the window, exclusive, YYYY-MM-DD; empty: all there is.
            measured_since: first date whose performance is measured; labels come late, so
                it lies before the window; empty: all there is.
            release: release whose profile is the reference; empty: the champion channel's.
            min_auc: realised AUC below this is drift.
            max_rmse: realised RMSE above this is drift, in the label's unit; 0: none is.
        """
        reference = open_profile(release=release, model_name=model.name)
        place.settle(reference, name="Open the reference profile", cached=False, keys=Keys.OPEN)
        window = profile(
            table=observations,
            columns=[*model.inputs, "score"],
            reference=reference.outputs["profile"],
            since=since,
            until=until,
        )
        place.settle(window, name="Profile the window", cached=False)
        drift = detect_drift(
            reference=reference.outputs["profile"],
            window=window.outputs["out"],
            subject=model.name,
        )
        place.settle(drift, name="Detect drift")
        performance = measure_performance(
            observations=observations,
            labels=labels,
            since=measured_since,
            until=until,
            **({"min_auc": min_auc} if classes else {"max_rmse": max_rmse}),
            task=str(model.task),
        )
        place.settle(performance, name="Measure performance", cached=False)

    return monitoring
