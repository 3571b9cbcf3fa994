"""`falaj compile`: everything a cluster runs, as IR YAML, or a refusal with findings."""

import argparse
import pathlib
from typing import TYPE_CHECKING

from components.foundation.errors import Refused
from pipelines.commands import options
from pipelines.commands.screen import say

if TYPE_CHECKING:
    from components.foundation.site import Site
    from pipelines.commands.options import Verbs


def add(verbs: "Verbs") -> None:
    what = "compile pipelines and components to IR YAML, linted"
    shown = ("falaj compile", "falaj compile --site my-site.yaml")
    parser = options.verb(verbs, "compile", what, *shown)
    options.project(parser)
    out = pathlib.Path("build")
    parser.add_argument("--out", type=pathlib.Path, default=out, help="folder to write to")
    parser.add_argument("--site", default="cluster", help="a site file, or the name of one here")
    parser.set_defaults(do=do)


def do(arguments: argparse.Namespace) -> int:
    """Compile everything for a cluster; refuse what the linter finds."""
    from pipelines import compiled, linter
    from pipelines.place import Place
    from pipelines.project import load

    place = Place.named(arguments.site)
    files = compiled.compile_all(load(arguments.project), place, arguments.out)
    findings = [finding for file in files for finding in linter.lint(file)]
    for finding in findings:
        say(finding)
    if findings:
        raise Refused(
            f"{len(findings)} findings in {len(files)} compiled files; see above",
            code="lint-findings",
        )
    _hold(files, place.site)
    say(f"{len(files)} files in {arguments.out}, no findings")
    return 0


def _hold(files: list[pathlib.Path], site: "Site") -> None:
    """Refuse what would send bytes where the site's law does not let them go."""
    from components.governance.residency import reading
    from pipelines.commands import residency, texts

    given = reading.read(texts.read(files))
    if refused := residency.told(given, reading.Laws.at(site)).refused:
        raise Refused(
            f"{refused} of {len(files)} compiled files refused at site {site.name}; see above",
            code="residency-refused",
        )
