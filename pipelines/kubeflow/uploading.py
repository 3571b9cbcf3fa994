"""Upload a compiled pipeline once: the same content again makes nothing, another a new version."""

import functools
import pathlib
from collections.abc import Mapping
from dataclasses import dataclass

from components.foundation.errors import Refused, UserError
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
    retagged: str = ""

    def __str__(self) -> str:
        if not self.new_version:
            now = f", and has other tags now: {self.retagged}" if self.retagged else ""
            return f"{self.version.name}: was there already{now}; {self.link}"
        of = f"new pipeline {self.pipeline.name}" if self.new_pipeline else self.pipeline.name
        return f"{self.version.name}: uploaded, a version of {of}; {self.link}"


def upload(
    client: Client, file: pathlib.Path, *, project: str, tags: Mapping[str, str] | None = None
) -> Uploaded:
    """Find the version that a compiled file is, else upload it, and its pipeline before.

    A version that is there is given the tags that are asked for and keeps its others.

    The pipeline is made without a version: KFP's upload of both would name the version after the
    pipeline, and a run that is killed between the two finds the pipeline again.

    Raises:
        Refused: a version of that name is of other content.
    """
    compiled = Compiled.read(file)
    ours = {names.CONTENT: names.tag(compiled.digest), names.PROJECT: project[: names.LENGTH]}
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
            tags={**(tags or {}), **ours},
        ),
    )
    _hold(version, compiled)
    retagged = "" if new_version else _differing(version.tags, tags or {})
    if retagged:
        version = _tag(client, version, {**ours, **version.tags, **(tags or {})})
    link = f"{client.link}/#/pipelines/details/{pipeline.id}/version/{version.id}"
    return Uploaded(pipeline, version, new_pipeline, new_version, link, retagged)


def _differing(has: Mapping[str, str], wanted: Mapping[str, str]) -> str:
    """Say which tags are wanted and are not so."""
    return ", ".join(
        f"{name}={value} (was {has.get(name, 'none')})"
        for name, value in sorted(wanted.items())
        if has.get(name) != value
    )


def _tag(client: Client, version: Version, tags: Mapping[str, str]) -> Version:
    """Give a version its tags; KFP takes the place of all that it had.

    Raises:
        UserError: KFP does not keep them.
    """
    changed = client.tag_version(version, tags)
    if lost := _differing(changed.tags, tags):
        raise UserError(
            f"version {version.name}: KFP did not keep its tags: {lost}; KFP keeps tags "
            "of versions from 2.17 on: update it, or leave out --tag",
            code="kfp-unsupported",
        )
    return changed


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
