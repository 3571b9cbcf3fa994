"""`falaj catalogue`: every component, from its own docstring and signature."""

import argparse
import pathlib
from typing import TYPE_CHECKING

from pipelines.commands import options

if TYPE_CHECKING:
    from pipelines.commands.options import Verbs


def add(verbs: "Verbs") -> None:
    what = "list every component: what for, in, out"
    shown = ("falaj catalogue", "falaj catalogue --write docs/components.md")
    parser = options.verb(verbs, "catalogue", what, *shown)
    parser.add_argument("--write", type=pathlib.Path, help="write Markdown to this file")
    parser.set_defaults(do=do)


def do(arguments: argparse.Namespace) -> int:
    """Print the catalogue, or write it as Markdown."""
    from pipelines import catalogue as listing

    if arguments.write:
        arguments.write.write_text(listing.markdown())
    else:
        print(listing.text())
    return 0
