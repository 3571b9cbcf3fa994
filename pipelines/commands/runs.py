"""`falaj runs`: what ran here before."""

import argparse
import json
from typing import TYPE_CHECKING

from pipelines.commands import options
from pipelines.commands.screen import say

if TYPE_CHECKING:
    from pipelines.commands.options import Verbs
    from pipelines.records import RunRecord

_ROW = "{:<20} {:<18} {:<11} {:>7} {:>8} {:>9}  {:<24} {}"
_HEAD = ("started (UTC)", "pipeline", "state", "steps", "seconds", "peak MB", "error", "run")


def add(verbs: "Verbs") -> None:
    shown = ("falaj runs", "falaj runs --last 5", "falaj runs --log json")
    parser = options.verb(
        verbs, "runs", "list earlier runs, the newest last; steps are run+unchanged", *shown
    )
    parser.add_argument("--last", type=int, default=0, metavar="N", help="only so many; 0: all")
    options.state(parser)
    parser.add_argument(
        "--log", choices=("text", "json"), default="text", help="json: one whole record a line"
    )
    parser.set_defaults(do=do)


def do(arguments: argparse.Namespace) -> int:
    """List the records of runs, those under way last; nothing has to be running."""
    from pipelines.laptop import session

    records = session.records(arguments.state)
    found = [*records.runs.list(), *records.begun.list()][-arguments.last :]
    if arguments.log == "json":
        for record in found:
            print(json.dumps(json.loads(record.to_json())))
        return 0
    if not found:
        say(f"{arguments.state}: nothing has run here yet; `make run` does")
        return 0
    for row in (_HEAD, *map(_row, found)):
        say(_ROW.format(*row).rstrip())
    return 0


def _row(record: "RunRecord") -> tuple[str, ...]:
    cached = sum(step.cached for step in record.steps)
    peak = max((step.cost.get("peak_bytes", 0) for step in record.steps), default=0)
    return (
        record.started[:19].replace("T", " "),
        record.pipeline,
        record.state,
        f"{len(record.steps) - cached}+{cached}",
        f"{record.seconds:.1f}",
        f"{peak / 1e6:.0f}" if peak else "",
        record.error.code if record.error else "",
        record.run_id,
    )
