"""How commands are written down: one sentence, lines to copy, and the options they share."""

import argparse
import pathlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

Do = Callable[[argparse.Namespace], int]


def verb(verbs: "Verbs", name: str, what: str, *examples: str) -> argparse.ArgumentParser:
    """Add a command, with one sentence and lines to copy."""
    return verbs.add_parser(
        name,
        help=what,
        description=f"{what[0].upper()}{what[1:]}.",
        epilog=shown(examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def shown(examples: Iterable[str]) -> str:
    return "\n  ".join(["examples:", *examples])


def project(parser: argparse.ArgumentParser) -> None:
    default = pathlib.Path("examples/flights")
    parser.add_argument("--project", type=pathlib.Path, default=default, help="project folder")


def site(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--site", default="laptop", help="a site file, or the name of one here")


def state(parser: argparse.ArgumentParser) -> None:
    default = pathlib.Path("out/laptop")
    parser.add_argument(
        "--state", type=pathlib.Path, default=default, help="where a laptop's data are"
    )
