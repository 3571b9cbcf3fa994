"""`falaj doctor`: what an installation has and lacks, from where the user stands."""

import argparse
import json
import os
from collections import Counter
from typing import TYPE_CHECKING

from components.foundation.errors import Refused, UserError
from pipelines.commands import options, there
from pipelines.commands.screen import say

if TYPE_CHECKING:
    from components.governance.doctor.interface import Finding, Installation
    from pipelines.commands.options import Verbs

_EXAMPLES = (
    "falaj doctor --site cluster",
    "falaj doctor --site my-site.yaml --must upload --must run",
    "falaj doctor --site my-site.yaml --json",
)
_COLUMN = len("cannot be known")
TASKS = ("deploy", "roll_out", "upload", "run", "schedule", "train")


def add(verbs: "Verbs") -> None:
    what = "say what an installation has and lacks, and what to do"
    parser = options.verb(verbs, "doctor", what, *_EXAMPLES)
    named = "a site file, or the name of one here"
    parser.add_argument("--site", default="cluster", help=named)
    must = f"what you yourself have to be able to do, may be repeated: {', '.join(TASKS)}"
    choice = {"choices": TASKS, "metavar": "TASK"}
    parser.add_argument("--must", action="append", default=[], help=must, **choice)  # type: ignore[arg-type]
    there.identity(parser)
    said = "print one JSON document instead of lines"
    parser.add_argument("--json", action="store_true", dest="as_json", help=said)
    parser.set_defaults(do=do)


def do(arguments: argparse.Namespace) -> int:
    """Look at everything, and say it as it comes; refuse when something needed is missing."""
    from components.governance.doctor import examining

    at = _installation(arguments)
    findings = []
    told = _Table()
    try:
        for one in examining.examine(at):
            findings.append(one)
            if not arguments.as_json:
                told.add(one)
    finally:
        if arguments.as_json:
            say(json.dumps({"findings": [one.to_dict() for one in findings]}, indent=2))
        else:
            told.end()
    if absent := examining.lacking(findings):
        raise Refused(f"{len(absent)} missing; the first is {absent[0]}", code="doctor-missing")
    return 0


def _installation(arguments: argparse.Namespace) -> "Installation":
    from components.foundation.kubernetes.client import Cluster
    from components.governance.doctor import web
    from components.governance.doctor.interface import Installation
    from components.governance.doctor.kubernetes import Kubernetes
    from pipelines.place import Place

    place = Place.named(arguments.site)
    if not place.on_kubernetes:
        raise UserError(
            f"site {arguments.site}: is a laptop, which starts all it needs; name a cluster's",
            code="site-is-a-laptop",
        )
    cluster = Cluster.connect(os.environ, namespace=place.site.namespace)
    return Installation(
        Kubernetes(cluster),
        place.site,
        os.environ,
        frozenset(arguments.must),
        web.fetch,
        lambda: there.client(arguments, place.site).namespace is not None,
    )


class _Table:
    """A heading for each check, a line for each thing, and below it what is to be done."""

    def __init__(self) -> None:
        self._check = ""
        self._counted: Counter[str] = Counter()

    def add(self, one: "Finding") -> None:
        if one.check != self._check:
            say(one.check)
        self._check = one.check
        self._counted[str(one.status)] += 1
        say(f"  {one.status:<{_COLUMN}} {one.what}: {one.got}")
        for text in filter(None, (one.expected and f"expected {one.expected}", one.do)):
            say(f"  {'':<{_COLUMN}}   {text}")

    def end(self) -> None:
        if self._counted:
            say("\n" + ", ".join(f"{number} {status}" for status, number in self._counted.items()))
