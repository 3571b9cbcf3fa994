"""`falaj run`: one pipeline on this machine."""

import argparse
from typing import TYPE_CHECKING

from pipelines.commands import options
from pipelines.commands.screen import say, show
from pipelines.place import Place

if TYPE_CHECKING:
    from pipelines.commands.options import Verbs

_AGAIN = "falaj run monitoring --set since=2013-08-01 --set until=2013-09-01"
_ROLLOUT = "falaj run deployment --set release=sealed+s3://... --set 'steps=[5, 25, 50]'"


def add(verbs: "Verbs") -> None:
    parser = options.verb(verbs, "run", "run a pipeline on this machine", _AGAIN, _ROLLOUT)
    parser.add_argument("pipeline", help="training-torch, deployment, ...")
    options.project(parser)
    options.site(parser)
    options.state(parser)
    values = "a parameter of the pipeline; lists as JSON"
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", dest="values", help=values
    )
    parser.set_defaults(do=do)


def do(arguments: argparse.Namespace) -> int:
    """Run one pipeline through kfp.local against a laptop's own services."""
    from pipelines import compiled, parameters
    from pipelines.laptop import session
    from pipelines.laptop.runner import LocalRunner
    from pipelines.project import load

    place = Place.here(arguments.site)
    project = load(arguments.project)
    pipeline = compiled.pipeline(arguments.pipeline, project, place)
    values = parameters.parse(arguments.values, pipeline)
    with session.running(arguments.state) as laptop:
        environment = {**place.site.environment(), **laptop.environment}
        folder = arguments.state / "runs"
        runner = LocalRunner(folder, environment, show, project=project.name)
        done = runner.run(pipeline, values)
    say(f"{done.pipeline}: {len(done.steps)} steps in {done.seconds:.0f} s")
    return 0
