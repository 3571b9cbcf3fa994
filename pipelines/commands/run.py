"""`falaj run`: one pipeline, on this machine or on a cluster."""

import argparse
from typing import TYPE_CHECKING

from components.foundation.errors import FalajError
from pipelines.commands import options, run_there, screen
from pipelines.commands.screen import Screen
from pipelines.place import Place

if TYPE_CHECKING:
    from pipelines.commands.options import Verbs

_AGAIN = "falaj run monitoring --set since=2013-08-01 --set until=2013-09-01"
_ROLLOUT = "falaj run deployment --set release=sealed+s3://... --set 'steps=[5, 25, 50]'"
_THERE = "falaj run monitoring --site my-site.yaml --set since=2013-08-01 --no-wait"
_ASKED = "falaj run deployment --traffic s3://falaj-features/delays/scoring"
_EXAMPLES = (_AGAIN, _ROLLOUT, _ASKED, _THERE)


def add(verbs: "Verbs") -> None:
    parser = options.verb(verbs, "run", "run a pipeline, here or on a cluster", *_EXAMPLES)
    parser.add_argument("pipeline", help="training-torch, deployment, ...")
    options.project(parser)
    options.site(parser)
    options.state(parser)
    values = "a parameter of the pipeline; lists as JSON"
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", dest="values", help=values
    )
    rows = (
        "meanwhile ask the model about this table's rows, e.g. s3://falaj-features/delays/scoring"
    )
    parser.add_argument("--traffic", default="", metavar="TABLE", help=rows)
    screen.options(parser)
    run_there.options(parser)
    parser.set_defaults(do=do)


def do(arguments: argparse.Namespace) -> int:
    """Run one pipeline: on a cluster through Kubeflow, else on a laptop's own services."""
    told = screen.chosen(arguments)
    try:
        with told.working():
            place = Place.named(arguments.site)
            run_there.hold(arguments, place)
            (run_there.run if place.on_kubernetes else _run)(arguments, told, place)
    except FalajError as error:
        told.failed(error)
        raise
    return 0


def _run(arguments: argparse.Namespace, told: Screen, place: Place) -> None:
    """Run one pipeline through kfp.local against a laptop's own services."""
    from pipelines import compiled, parameters
    from pipelines.laptop import session, traffic
    from pipelines.laptop.runner import LocalRunner, code_digest
    from pipelines.project import load

    place.hold()
    project = load(arguments.project)
    pipeline = compiled.pipeline(arguments.pipeline, project, place)
    values = parameters.parse(arguments.values, pipeline)
    code = code_digest(project.folder)
    with session.running(arguments.state) as laptop:
        environment = {**place.site.environment(), **laptop.environment, **project.environment}
        runner = LocalRunner(
            arguments.state / "runs",
            environment,
            code=code,
            project=project.name,
            audience=told,
            site=place.site,
        )
        with traffic.sent(arguments.traffic, project, laptop) as asked:
            runner.run(pipeline, values)
    if asked:
        told.say(f"clients saw {asked}")
