"""`falaj run`: one pipeline on this machine."""

import argparse
from typing import TYPE_CHECKING

from components.foundation.errors import FalajError
from pipelines.commands import options, screen
from pipelines.commands.screen import Screen
from pipelines.place import Place

if TYPE_CHECKING:
    from pipelines.commands.options import Verbs

_AGAIN = "falaj run monitoring --set since=2013-08-01 --set until=2013-09-01"
_ROLLOUT = "falaj run deployment --set release=sealed+s3://... --set 'steps=[5, 25, 50]'"
_ASKED = "falaj run deployment --traffic s3://falaj-features/delays/scoring"


def add(verbs: "Verbs") -> None:
    parser = options.verb(verbs, "run", "run a pipeline on this machine", _AGAIN, _ROLLOUT, _ASKED)
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
    parser.set_defaults(do=do)


def do(arguments: argparse.Namespace) -> int:
    """Run one pipeline through kfp.local against a laptop's own services."""
    told = screen.chosen(arguments)
    try:
        with told.working():
            _run(arguments, told)
    except FalajError as error:
        told.failed(error)
        raise
    return 0


def _run(arguments: argparse.Namespace, told: Screen) -> None:
    from pipelines import compiled, parameters
    from pipelines.laptop import session, traffic
    from pipelines.laptop.runner import LocalRunner, code_digest
    from pipelines.project import load

    place = Place.here(arguments.site)
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
