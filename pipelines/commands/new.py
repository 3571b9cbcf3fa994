"""`falaj new`: a folder of a project that works on a sample, to make one's own."""

import argparse
import pathlib
from typing import TYPE_CHECKING

from pipelines.commands import options
from pipelines.commands.screen import say

if TYPE_CHECKING:
    from pipelines.commands.options import Verbs


def add(verbs: "Verbs") -> None:
    what = "make the folder of a new project, working on a sample"
    shown = ("falaj new demand --task regression", "falaj new churn --source sql")
    parser = options.verb(verbs, "new", what, *shown)
    parser.add_argument("project", help="its name: lower-case letters and digits")
    tasks, sources = ("classification", "regression"), ("objects", "sql", "rest")
    parser.add_argument(
        "--task", choices=tasks, default=tasks[0], metavar="TASK", help=f"{tasks[0]} or {tasks[1]}"
    )
    where = "where data are: objects, sql or rest"
    parser.add_argument(
        "--source", choices=sources, default=sources[0], metavar="SOURCE", help=where
    )
    parser.set_defaults(do=do)


def do(arguments: argparse.Namespace) -> int:
    """Write the folder and say what to do next."""
    from components.foundation.statistics.task import Task
    from pipelines.skeleton.writing import Skeleton, write

    skeleton = Skeleton(arguments.project, Task.parse(arguments.task), arguments.source)
    files = write(skeleton, pathlib.Path())
    say(f"{len(files)} files in {arguments.project}; {arguments.project}/README.md says what next")
    return 0
