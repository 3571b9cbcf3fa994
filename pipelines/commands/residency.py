"""`falaj residency check`: where bytes may go, by what site files declare."""

import argparse
import pathlib
from typing import TYPE_CHECKING

from components.foundation.errors import Refused
from pipelines.commands import options
from pipelines.commands.screen import say

if TYPE_CHECKING:
    from pipelines.commands.options import Verbs

_EXAMPLE = "falaj residency check pipelines/sites"


def add(verbs: "Verbs") -> None:
    parser = options.verb(verbs, "residency", "judge where bytes may go", _EXAMPLE)
    deeper = parser.add_subparsers(required=True, metavar="COMMAND")
    what = "judge site files, or every one in a folder"
    check_ = options.verb(deeper, "check", what, _EXAMPLE)
    check_.add_argument("paths", nargs="+", type=pathlib.Path, metavar="PATH")
    check_.set_defaults(do=check)


def check(arguments: argparse.Namespace) -> int:
    """Print a verdict for each site file; refuse when any is refused."""
    from components.governance.attest_residency import attestation

    verdicts = [found for path in arguments.paths for found in attestation.check(path)]
    for verdict in verdicts:
        say(verdict)
    refused = [verdict for verdict in verdicts if not verdict.passes]
    if refused:
        raise Refused(f"{len(refused)} of {len(verdicts)} sites refused", code="residency-refused")
    return 0
