"""`falaj buckets`: the site's buckets, held against their declaration."""

import argparse
import os
from typing import TYPE_CHECKING

from components.foundation.buckets import program
from pipelines.commands import options

if TYPE_CHECKING:
    from pipelines.commands.options import Verbs

_DECLARED = "manifests/storage/configmap-falaj-buckets.yaml"


def add(verbs: "Verbs") -> None:
    parser = options.verb(
        verbs,
        "buckets",
        "hold a store's buckets against their declaration",
        f"falaj buckets check {_DECLARED}",
        f"falaj buckets apply {_DECLARED}",
    )
    program.options(parser)
    parser.set_defaults(do=do)


def do(arguments: argparse.Namespace) -> int:
    """Check or apply; the store and the site come from the environment, as in a pod."""
    return program.run(arguments, os.environ)
