"""`falaj upload`: compiled pipelines to Kubeflow Pipelines, each content once."""

import argparse
from typing import TYPE_CHECKING

from pipelines.commands import options, there
from pipelines.commands.screen import say

if TYPE_CHECKING:
    from pipelines.commands.options import Verbs

_EXAMPLES = (
    "falaj upload",
    "falaj upload monitoring --site my-site.yaml --tag revision=4c1f",
    "falaj upload --token-file /run/token --ca-file ca.pem",
)


def add(verbs: "Verbs") -> None:
    what = "upload pipelines to Kubeflow; what is there already is left"
    parser = options.verb(verbs, "upload", what, *_EXAMPLES)
    which = "training-torch, deployment, ...; without one, all that the project has"
    parser.add_argument("pipelines", nargs="*", metavar="PIPELINE", help=which)
    options.project(parser)
    parser.add_argument("--site", default="cluster", help="a site file, or the name of one here")
    there.tags(parser)
    there.identity(parser)
    parser.set_defaults(do=do)


def do(arguments: argparse.Namespace) -> int:
    """Upload what is not there; say of each what was made or found."""
    from pipelines.project import load

    place, project = there.cluster(arguments.site), load(arguments.project)
    client = there.client(arguments, place.site)
    with there.compiled(arguments.pipelines, project, place) as made:
        for file, _ in made.values():
            say(there.upload(client, file, project, arguments))
    return 0
