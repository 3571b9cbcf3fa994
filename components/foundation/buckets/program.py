"""What is asked of the buckets on a command line, and what is told."""

import argparse
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from components.foundation.buckets.declaration import Declaration
from components.foundation.buckets.wanted import Place
from components.foundation.errors import UserError
from components.foundation.storage import Settings

if TYPE_CHECKING:
    from components.foundation.buckets.keeper import Finding


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("check", "apply"), help="say what differs, or mend it")
    parser.add_argument("declaration", type=pathlib.Path, help="YAML, or the ConfigMap around it")


def run(arguments: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Print every finding but the good ones; raises Refused if a bucket is not as declared."""
    declared = Declaration.load(arguments.declaration)
    place, settings = Place.from_environment(environment), Settings.from_environment(environment)
    try:
        from components.foundation.buckets import keeper
    except ModuleNotFoundError as error:
        raise UserError(
            f"{error.name}: not installed; install the extra: pip install 'falaj[awskms]'",
            code="extra-not-installed",
        ) from error
    change = arguments.action == "apply"
    findings = keeper.Keeper(keeper.client(settings), declared, place, change).keep()
    for found in findings:
        if found.state is not keeper.State.SAME:
            print(found)
    print(_summary(findings))
    keeper.judged(findings)
    return 0


def _summary(findings: "Sequence[Finding]") -> str:
    states = [found.state for found in findings]
    return "; ".join(f"{states.count(state)} {state}" for state in sorted(set(states)))
