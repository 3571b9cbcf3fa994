"""`falaj schedule`: runs of a pipeline by the clock; `falaj schedules`: those there are."""

import argparse
import pathlib
from typing import TYPE_CHECKING, Any, TypeAlias

from components.foundation.errors import UserError
from pipelines.commands import options, there
from pipelines.commands.screen import say

if TYPE_CHECKING:
    from components.foundation.site import Site
    from pipelines.commands.options import Verbs
    from pipelines.kubeflow.client import Client
    from pipelines.kubeflow.values import Schedule, Scheduled, Version
    from pipelines.project import Project

    When: TypeAlias = tuple[str, int]  # a line of cron, or seconds between starts

_EXAMPLES = (
    "falaj schedule monitoring --cron '30 6 * * *' --set since=2013-08-01 --set until=2013-09-01",
    "falaj schedule collection --every 1h --latest",
    "falaj schedule collection --every 1h --pin flights-collection-4c1f8a90b2d3",
)
_LISTS = ("falaj schedules", "falaj schedules --disable collection")
_ROW = "{:<24} {:<9} {:<18} {:<10} {}"


def add(verbs: "Verbs") -> None:
    what = "run a pipeline on Kubeflow by the clock; one schedule of a name"
    parser = options.verb(verbs, "schedule", what, *_EXAMPLES)
    parser.add_argument("pipeline", help="training-torch, monitoring, ...")
    options.project(parser)
    _where(parser)
    _when(parser)
    _which(parser)
    values = "a parameter of the pipeline; lists as JSON"
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", dest="values", help=values
    )
    parser.add_argument("--name", help="of the schedule; without it, the pipeline's")
    parser.add_argument("--experiment", metavar="NAME", help="without it, the site's")
    at_once = "runs at one time, 1 to 10; a start that finds more waits"
    parser.add_argument(
        "--concurrency", type=int, choices=range(1, 11), default=1, metavar="N", help=at_once
    )
    there.tags(parser)
    there.identity(parser)
    parser.set_defaults(do=do)
    _add_list(verbs)


def _add_list(verbs: "Verbs") -> None:
    what = "list the schedules on Kubeflow; disable, enable or delete one"
    parser = options.verb(verbs, "schedules", what, *_LISTS)
    _where(parser)
    change = parser.add_mutually_exclusive_group()
    change.add_argument("--disable", metavar="NAME", help="start no runs until it is enabled")
    change.add_argument("--enable", metavar="NAME", help="start runs again")
    change.add_argument("--delete", metavar="NAME", help="forget it; its runs stay")
    there.identity(parser)
    parser.set_defaults(do=listed)


def _where(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--site", default="cluster", help="a site file, or the name of one here")


def _when(parser: argparse.ArgumentParser) -> None:
    when = parser.add_mutually_exclusive_group(required=True)
    fields = "minute hour day month weekday, as cron has it, in KFP's time zone (UTC)"
    when.add_argument("--cron", help=fields)
    when.add_argument("--every", metavar="TIME", help="an interval such as 30m, 6h or 1d")


def _which(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    pinned = "stay with this version and upload none; else with what the project compiles to now"
    which.add_argument("--pin", metavar="VERSION", help=pinned)
    floats = "take the newest version at each start"
    which.add_argument("--latest", action="store_true", help=floats)


def do(arguments: argparse.Namespace) -> int:
    """Upload the pipeline if it is not there, and keep one schedule of the name."""
    from pipelines import parameters
    from pipelines.kubeflow import scheduling
    from pipelines.project import load

    when = _said(arguments)
    place, project = there.cluster(arguments.site), load(arguments.project)
    client = there.client(arguments, place.site)
    with there.compiled([arguments.pipeline], project, place) as made:
        ((file, pipeline),) = made.values()
        values = parameters.parse(arguments.values, pipeline)
        version = _version(arguments, client, file, project)
    wanted = _wanted(arguments, client, version, place.site, when=when, values=values)
    kept = scheduling.keep(client, wanted)
    say(f"schedule {wanted.name}: {kept.made}; {_told(kept.scheduled)}")
    return 0


def _said(arguments: argparse.Namespace) -> "When":
    """Read when runs start, and refuse what would be ignored, before anything is sent."""
    from pipelines.kubeflow import timing

    if arguments.pin and arguments.tags:
        raise UserError(
            "--tag: marks a version that is uploaded, and --pin uploads none; leave one out",
            code="kfp-tag-malformed",
        )
    if arguments.cron is not None:
        return timing.cron(arguments.cron), 0
    return "", timing.every(arguments.every)


def _version(
    arguments: argparse.Namespace, client: "Client", file: pathlib.Path, project: "Project"
) -> "Version":
    """Find the version that is pinned; without one, upload what the project compiles to."""
    from pipelines.ir import Compiled
    from pipelines.kubeflow import scheduling

    if arguments.pin:
        return scheduling.pinned(client, Compiled.read(file).pipeline, arguments.pin)
    uploaded = there.upload(client, file, project, arguments)
    say(uploaded)
    return uploaded.version


def listed(arguments: argparse.Namespace) -> int:
    """List schedules, or change the one that is named."""
    from pipelines.kubeflow import scheduling

    client = there.client(arguments, there.cluster(arguments.site).site)
    changes = {"disable": client.disable, "enable": client.enable, "delete": client.delete}
    for verb, change in changes.items():
        if name := getattr(arguments, verb):
            for one in scheduling.named(client, name):
                change(one)
            say(f"schedule {name}: {verb}d")
            return 0
    found = client.schedules()
    if not found:
        say("there are no schedules; `falaj schedule` makes one")
        return 0
    say(_ROW.format("name", "state", "when", "version", "parameters"))
    for one in found:
        say(_row(one))
    return 0


def _wanted(
    arguments: argparse.Namespace,
    client: "Client",
    version: "Version",
    site: "Site",
    *,
    when: "When",
    values: dict[str, Any],
) -> "Schedule":
    from pipelines.kubeflow import running
    from pipelines.kubeflow.values import Schedule

    cron, every = when
    return Schedule(
        name=arguments.name or arguments.pipeline,
        pipeline=version.pipeline,
        version="" if arguments.latest else version.id,
        cron=cron,
        every=every,
        parameters=values,
        concurrency=arguments.concurrency,
        root=site.pipeline_root,
        service_account=site.pipelines.service_account if site.pipelines else "",
        experiment=running.experiment_of(client, there.experiment(arguments, site)),
    )


def _told(one: "Scheduled") -> str:
    from pipelines.kubeflow import timing

    when = timing.told(one.schedule.cron, one.schedule.every)
    which = f"version {one.schedule.version}" if one.schedule.version else "the latest version"
    return f"{when}, {which}, at most {one.schedule.concurrency} at once, nothing caught up"


def _row(one: "Scheduled") -> str:
    from pipelines.kubeflow import timing

    given = one.schedule
    when = timing.told(given.cron, given.every)
    state = "enabled" if one.enabled else "disabled"
    values = " ".join(f"{name}={value}" for name, value in sorted(given.parameters.items()))
    version = given.version[:8] or "latest"
    return _ROW.format(given.name, state, when, version, values).rstrip()
