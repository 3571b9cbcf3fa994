"""`falaj report`: a job's page, made again from what was kept and checked."""

import argparse
import pathlib
from typing import TYPE_CHECKING

from pipelines.commands import options
from pipelines.commands.screen import say

if TYPE_CHECKING:
    from pipelines.commands.options import Verbs
    from pipelines.records import JobRecord, Records

_NAMED = "falaj report flights-20261124T165109 --out out/yesterday.html"


def add(verbs: "Verbs") -> None:
    what = "write the report of a job or a run again, from stored verdicts"
    parser = options.verb(verbs, "report", what, "falaj report", _NAMED)
    which = "id of a job or a run, or how it begins; the newest job, or else all runs, if left out"
    parser.add_argument("run", nargs="?", default="", metavar="RUN", help=which)
    default = pathlib.Path("out/report.html")
    parser.add_argument("--out", type=pathlib.Path, default=default, help="file to write")
    options.state(parser)
    parser.set_defaults(do=do)


def do(arguments: argparse.Namespace) -> int:
    """Write a report, once every verdict in it is the one in the audit log."""
    from pipelines import story
    from pipelines.laptop import session
    from pipelines.records import Records

    job = _job(Records(arguments.state / "runs"), arguments.run)
    with session.storing(arguments.state) as laptop:
        path = story.write(arguments.out, job, laptop)
    say(f"{job.id}: {path}")
    return 0


def _job(records: "Records", id: str) -> "JobRecord":
    """Find what is asked for; with nothing asked and no job, take every run as one."""
    from pipelines import story
    from pipelines.records import JobRecord

    if id:
        found = records.find(id)
        return found if isinstance(found, JobRecord) else story.job_of([found])
    if records.jobs.ids():
        return records.jobs.latest()
    records.runs.latest()  # raises where nothing has run
    return story.job_of(records.runs.list())
