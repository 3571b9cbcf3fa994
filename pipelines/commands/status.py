"""`falaj status`: how models stand: phase, versions, real weights, readiness, last verdict."""

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from components.foundation.errors import UserError
from pipelines.commands import options, serving
from pipelines.commands.screen import say

if TYPE_CHECKING:
    from components.deployment.slots import Version
    from components.deployment.status.standing import Standing
    from components.foundation.kubernetes.client import Cluster
    from pipelines.commands.options import Verbs

_ROW = "{:<10} {:<24} {:>7}  {}"


def add(verbs: "Verbs") -> None:
    what = "show how deployed models stand, on a cluster or on this laptop"
    shown = ("falaj status", "falaj status delays", "falaj status delays --json")
    parser = options.verb(verbs, "status", what, *shown)
    parser.add_argument("model", nargs="?", default="", help="one model; without it, all")
    parser.add_argument("--json", action="store_true", help="one object a line, for machines")
    serving.add(parser)
    parser.set_defaults(do=do)


def do(arguments: argparse.Namespace) -> int:
    """Show one model, or all of a namespace; then stop where a record cannot be read."""
    from components.deployment.status.standing import models

    with serving.place(arguments) as (cluster, _):
        names = [arguments.model] if arguments.model else models(cluster)
        found, broken = _looked(cluster, names)
    if not names and not arguments.json:
        say(f"no model is deployed in {cluster.namespace}; `falaj run` on a laptop deploys one")
    for one in found:
        if arguments.json:
            print(json.dumps(one.to_dict(), allow_nan=False))
        else:
            show(one)
    for error in broken:
        raise error
    return 0


def _looked(cluster: "Cluster", names: Sequence[str]) -> tuple[list["Standing"], list[UserError]]:
    """Look at models; one whose record somebody has broken does not hide the others."""
    from components.deployment.record import Record
    from components.deployment.status.standing import standing

    found, broken = [], []
    for name in names:
        try:
            found.append(standing(Record.open(cluster, name)))
        except UserError as error:
            broken.append(error)
    return found, broken


def show(one: "Standing") -> None:
    """Print one model for people."""
    state = one.state
    say(f"{one.model}: {state.phase}, traffic by {state.backend}")
    versions = (("champion", state.champion), ("candidate", state.candidate))
    for role, version in versions:
        if version is not None:
            say(_ROW.format(f"  {role}", str(version), _share(one, version), _ready(one, version)))
    rows = (("backend", one.because), ("verdict", one.verdict), ("unseen", one.unseen))
    for role, told in (*rows, ("good", _good(one))):
        if told:
            say(f"  {role:<9}{told}")


def _share(one: "Standing", version: "Version") -> str:
    if not one.shares:
        return "?" if one.unseen else "no route"
    return f"{one.shares.get(version.slot, 0)} %"


def _ready(one: "Standing", version: "Version") -> str:
    return one.ready.get(version.slot, "not looked at")


def _good(one: "Standing") -> str:
    return ", ".join(version.release.version for version in one.state.good)
