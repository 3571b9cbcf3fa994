"""`falaj errors`: every error code, its cause and its cure."""

import argparse
import itertools
import pathlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from components.foundation import error_catalogue, errors
from components.foundation.error_catalogue import Entry
from pipelines.commands import options

if TYPE_CHECKING:
    from pipelines.commands.options import Verbs

_EXITS = {
    "user": errors.UserError.exit_code,
    "refused": errors.Refused.exit_code,
    "infrastructure": errors.InfrastructureError.exit_code,
}
_HEAD = """# Errors

Every message ends in a code, such as `[table-missing]`: it stays the same while words are
improved, in the log of a step, in its termination message and on the command line. Exit codes:
2 your input is wrong, 3 a policy or gate said no, 75 something beneath failed and may work later.
`falaj errors CODE` prints one of these. This page is written by `falaj errors --write`.
"""


def add(verbs: "Verbs") -> None:
    what = "list every error code, or one with its cause and cure"
    shown = ("falaj errors", "falaj errors table-missing", "falaj errors --write docs/errors.md")
    parser = options.verb(verbs, "errors", what, *shown)
    parser.add_argument("code", nargs="?", help="the word in brackets at a message's end")
    parser.add_argument("--write", type=pathlib.Path, help="write Markdown to this file")
    parser.set_defaults(do=do)


def do(arguments: argparse.Namespace) -> int:
    """Print the list or one entry, or write the page."""
    if arguments.code:
        print(_explained(error_catalogue.entry(arguments.code)))
    elif arguments.write:
        arguments.write.write_text(markdown())
    else:
        print("\n".join(_listed()))
    return 0


def markdown() -> str:
    """Write the page: one anchor a code."""
    return "\n".join([_HEAD, *(line for part in _themes() for line in _section(*part))])


def _themes() -> Iterator[tuple[str, list[Entry]]]:
    every = error_catalogue.entries().values()
    for theme, found in itertools.groupby(every, lambda entry: entry.theme):
        yield theme, list(found)


def _listed() -> Iterator[str]:
    for theme, found in _themes():
        yield f"{theme}:"
        yield from (f"  {entry.code:<28}{entry.title}" for entry in found)


def _section(theme: str, found: list[Entry]) -> Iterator[str]:
    yield f"## {theme}\n"
    for entry in found:
        yield f"### {entry.code}\n"
        yield f"{entry.title} (exit code {_EXITS[entry.kind]}). {entry.cause} **{entry.cure}**\n"


def _explained(entry: Entry) -> str:
    return (
        f"{entry.code}: {entry.title}\n"
        f"  exit code  {_EXITS[entry.kind]} ({entry.kind})\n"
        f"  cause      {entry.cause}\n"
        f"  cure       {entry.cure}"
    )
