"""`falaj catalogue`: every component, from its own docstring and signature."""

import argparse
import pathlib
from typing import TYPE_CHECKING

from pipelines.commands import options

if TYPE_CHECKING:
    from pipelines.catalogue.usage import Usage
    from pipelines.commands.options import Verbs

_EXAMPLE = pathlib.Path(__file__).parents[2] / "examples/flights"


def add(verbs: "Verbs") -> None:
    what = "list every component: what for, in, out"
    shown = ("falaj catalogue", "falaj catalogue --write docs/components")
    parser = options.verb(verbs, "catalogue", what, *shown)
    parser.add_argument("--write", type=pathlib.Path, help="write Markdown pages to this folder")
    parser.set_defaults(do=do)


def do(arguments: argparse.Namespace) -> int:
    """Print the catalogue, or write it as Markdown with an example of each component."""
    from pipelines.catalogue import listing, pages
    from pipelines.catalogue.entries import entries

    if arguments.write:
        pages.write(arguments.write, pages.pages(entries(), uses()))
    else:
        print(listing.text(entries()))
    return 0


def uses() -> dict[str, "Usage"]:
    """Find how the worked example's pipelines use each component."""
    from pipelines import compiled
    from pipelines.catalogue.usage import first_uses
    from pipelines.place import Place
    from pipelines.project import load

    project, place = load(_EXAMPLE), Place.named("laptop")
    return first_uses({name: compiled.pipeline(name, project, place) for name in compiled.BUILDERS})
