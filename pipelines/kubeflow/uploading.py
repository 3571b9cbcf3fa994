"""Upload a compiled pipeline once: the same content again makes nothing, another a new version."""

import functools
import pathlib
from collections.abc import Mapping
from dataclasses import dataclass

from components.foundation.errors import Refused
from pipelines.ir import Compiled
from pipelines.kubeflow import names, settling
from pipelines.kubeflow.client import Client
from pipelines.kubeflow.values import Pipeline, Version
from pipelines.native import version_name


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A version that KFP has, and what was made for it now."""

    pipeline: Pipeline
    version: Version
    new_pipeline: bool
    new_version: bool
    link: str

    def __str__(self) -> str:
        if not self.new_version:
            return f"{self.version.name}: was there already; {self.link}"
        of = f"new pipeline {self.pipeline.name}" if self.new_pipeline else self.pipeline.name
        return f"{self.version.name}: uploaded, a version of {of}; {self.link}"


def upload(
    client: Client, file: pathlib.Path, *, project: str, tags: Mapping[str, str] | None = None
) -> Uploaded:
    """Find the version that a compiled file is, else upload it, and its pipeline before.

    The pipeline is made without a version: KFP's upload of both would name the version after the
    pipeline, and a run that is killed between the two finds the pipeline again.

    Raises:
        Refused: a version of that name is of other content.
    """
    compiled = Compiled.read(file)
    ours = {names.CONTENT: names.tag(compiled.digest), names.PROJECT: project[:63]}
    marks = {**(tags or {}), **ours}
    pipeline, new_pipeline = settling.once(
        functools.partial(client.pipeline, compiled.pipeline),
        functools.partial(
            client.create_pipeline,
            compiled.pipeline,
            description=_description(compiled),
            tags={names.PROJECT: ours[names.PROJECT]},
        ),
    )
    version, new_version = settling.once(
        functools.partial(client.version, pipeline, version_name(compiled)),
        functools.partial(
            client.upload_version,
            pipeline,
            version_name(compiled),
            file.read_text(encoding="utf-8"),
            description=f"{_description(compiled)} ({compiled.digest})".strip(),
            tags=marks,
        ),
    )
    _hold(version, compiled)
    link = f"{client.link}/#/pipelines/details/{pipeline.id}/version/{version.id}"
    return Uploaded(pipeline, version, new_pipeline, new_version, link)


def _hold(version: Version, compiled: Compiled) -> None:
    """Refuse a version that was uploaded under our name by somebody else."""
    wanted = names.tag(compiled.digest)
    got = version.tags.get(names.CONTENT, wanted)  # KFP before 2.17 keeps no tags
    if got != wanted:
        raise Refused(
            f"version {version.name}: its tag {names.CONTENT} is {got}, and this content's is "
            f"{wanted}; delete that version, or ask who uploaded it",
            code="kfp-version-differs",
        )


def _description(compiled: Compiled) -> str:
    return str(compiled.spec["pipelineInfo"].get("description", ""))
