"""Deployment: a sealed candidate beside the champion, judged on live traffic."""

from typing import Any

from kfp import dsl

from components.deployment.deploy.component import deploy
from components.deployment.roll_out.component import roll_out
from components.release.register.component import register
from pipelines import stages
from pipelines.place import Keys, Place
from pipelines.project import Project


def build(project: Project, place: Place) -> Any:
    """Build the pipeline that deploys a release and lets traffic judge it."""
    model = project.model.name
    looked_up = project.features.repo if place.site.features.look_up else ""

    @dsl.pipeline(
        name=f"{project.name}-deployment",
        display_name=f"{project.name}: deploy and judge",
        description="Deploy a release dark, raise its share step by step, promote or roll back.",
    )
    def deployment(
        release: str = "",
        steps: list[int] = [10, 50],  # noqa: B006 - kfp takes defaults from the signature
        alpha: float = 0.05,
        min_requests: int = 200,
        interval_s: float = 1.0,
        max_seconds: float = 600.0,
        bake_s: float = 10.0,
        feature_repository: str = looked_up,
    ) -> None:
        """Deploy and judge a release.

        Args:
            release: sealed+s3://falaj-models/MODEL/VERSION; empty: the candidate channel's.
            steps: percent of traffic for the candidate, step by step, before all of it.
            alpha: bound on rolling back a healthy candidate, at any number of looks.
            min_requests: requests that the candidate must answer in each step.
            interval_s: seconds between looks.
            max_seconds: after this the rollout is inconclusive and rolled back.
            bake_s: seconds at full weight before the old slot is stopped.
            feature_repository: package of the feature definitions; a transformer then takes
                entity ids and looks features up. Empty: clients send them.
        """
        deployed = deploy(
            model_name=model,
            release=release,
            observations=f"s3://falaj-raw/observations/{model}",
            feature_repository=feature_repository,
        )
        place.settle(deployed, name="Deploy dark", cached=False, keys=Keys.OPEN)
        ready = stages.hold(place, deployed, name="Gate on readiness")
        judged = roll_out(
            model_name=model,
            steps=steps,
            alpha=alpha,
            min_requests=min_requests,
            interval_s=interval_s,
            max_seconds=max_seconds,
            bake_s=bake_s,
        ).after(ready)
        place.settle(judged, name="Roll out", cached=False)
        good = stages.hold(place, judged, name="Gate on the rollout")
        moved = register(
            release=deployed.outputs["release"],
            model_name=model,
            channel="champion",
            reason="promoted by the rollout",
        ).after(good)
        place.settle(moved, name="Register as champion", cached=False, keys=Keys.SIGN)

    return deployment
