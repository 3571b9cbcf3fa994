"""`falaj run --site cluster`: one pipeline on Kubeflow, followed to its end."""

import argparse
from typing import TYPE_CHECKING

from components.foundation.errors import FalajError, UserError
from pipelines.commands import there
from pipelines.commands.screen import Screen
from pipelines.place import Place

if TYPE_CHECKING:
    from pipelines.kubeflow.client import Client
    from pipelines.kubeflow.running import Started
    from pipelines.kubeflow.values import Task


def options(parser: argparse.ArgumentParser) -> None:
    """Add what only a run on a cluster has."""
    name = "of the run on a cluster; one that is there already is followed instead"
    parser.add_argument("--name", default="", help=name)
    under = "what it is gathered under on a cluster; without it, the site's"
    parser.add_argument("--experiment", default="", metavar="NAME", help=under)
    parser.add_argument("--no-wait", action="store_true", help="on a cluster: start it and end")
    there.tags(parser)
    there.identity(parser)


def hold(arguments: argparse.Namespace, place: Place) -> None:
    """Refuse an option that would be ignored where the run is."""
    if place.on_kubernetes and arguments.traffic:
        raise UserError(
            f"site {place.site.name}: --traffic is for laptops; here clients ask the model",
            code="site-is-a-cluster",
        )
    named = {
        "--name": arguments.name,
        "--experiment": arguments.experiment,
        "--no-wait": arguments.no_wait,
        "--tag": arguments.tags,
        "--token-file": arguments.token_file,
        "--ca-file": arguments.ca_file,
        "--unsafe-skip-tls": arguments.unsafe_skip_tls,
    }
    given = [name for name, value in named.items() if value]
    if given and not place.on_kubernetes:
        raise UserError(
            f"site {place.site.name}: {given[0]} is for clusters; name one with --site",
            code="site-is-a-laptop",
        )


def run(arguments: argparse.Namespace, told: Screen, place: Place) -> None:
    """Upload the pipeline if it is not there, start a run of it, and follow the run.

    Raises:
        FalajError: the run did not end well; a step's exit code says which error it is.
    """
    from pipelines import parameters
    from pipelines.kubeflow import running
    from pipelines.project import load

    place.hold()
    project = load(arguments.project)
    client = there.client(arguments, place.site)
    with there.compiled([arguments.pipeline], project, place) as made:
        ((file, pipeline),) = made.values()
        values = parameters.parse(arguments.values, pipeline)
        uploaded = there.upload(client, file, project, arguments)
    told.say(uploaded)
    started = running.start(
        client,
        uploaded.version,
        name=arguments.name or running.fresh_name(uploaded.pipeline.name),
        experiment=there.experiment(arguments, place.site),
        parameters=values,
        site=place.site,
    )
    _tell(told, started, arguments.pipeline)
    if not arguments.no_wait:
        _follow(client, started, told)


def _tell(told: Screen, started: "Started", pipeline: str) -> None:
    run = started.run
    told.event("run_started", run=run.id, named=run.name, pipeline=pipeline, link=started.link)
    told.end(f"run {run.name}: {'started' if started.new else 'was there already'}; {started.link}")


def _follow(client: "Client", started: "Started", told: Screen) -> None:
    from pipelines.kubeflow import running

    try:
        run = running.follow(client, started.run, told=lambda task: _step(told, task))
    except (KeyboardInterrupt, FalajError):
        told.end(f"run {started.run.name}: goes on without us; {started.link}")
        raise
    told.event("run_ended", run=run.id, named=run.name, state=run.state, link=started.link)
    running.judge(run, link=started.link)
    told.end(f"run {run.name}: {run.state.lower()}")


def _step(told: Screen, task: "Task") -> None:
    told.event("step_ended", step=task.name, state=task.state, seconds=task.seconds)
    told.say(f"    {task.name:<32} {task.seconds:>8.1f} s  {task.state.lower()}")
