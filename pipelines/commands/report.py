"""`falaj report`: a job's page, made again from what was kept and checked."""

import argparse
import pathlib
from typing import TYPE_CHECKING

from pipelines.commands import options
from pipelines.commands.screen import say

if TYPE_CHECKING:
    from pipelines.commands.options import Verbs

_NAMED = "falaj report flights-20261124T165109 --out out/yesterday.html"


def add(verbs: "Verbs") -> None:
    what = "write the report of a job or a run again, from stored verdicts"
    parser = options.verb(verbs, "report", what, "falaj report", _NAMED)
    which = "id of a job or a run, or how it begins; the newest job if left out"
    parser.add_argument("run", nargs="?", default="", metavar="RUN", help=which)
    default = pathlib.Path("out/report.html")
    parser.add_argument("--out", type=pathlib.Path, default=default, help="file to write")
    options.state(parser)
    parser.set_defaults(do=do)


def do(arguments: argparse.Namespace) -> int:
    """Write a report, once every verdict in it is the one in the audit log."""
    from pipelines import story
    from pipelines.laptop import session
    from pipelines.records import JobRecord, Records

    records = Records(arguments.state / "runs")
    found = records.find(arguments.run) if arguments.run else records.jobs.latest()
    job = found if isinstance(found, JobRecord) else story.job_of(found)
    with session.storing(arguments.state) as laptop:
        path = story.write(arguments.out, job, laptop)
    say(f"{job.id}: {path}")
    return 0
