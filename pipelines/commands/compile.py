"""`falaj compile`: everything a cluster runs, as IR YAML, or a refusal with findings."""

import argparse
import pathlib
from typing import TYPE_CHECKING

from components.foundation.errors import Refused, UserError
from pipelines.commands import options
from pipelines.commands.screen import say

if TYPE_CHECKING:
    from components.foundation.site import Site
    from pipelines.commands.options import Verbs

_EXAMPLES = (
    "falaj compile",
    "falaj compile --site my-site.yaml --kubernetes",
    "falaj compile --against released --accept flights-deployment.bake_s",
)


def add(verbs: "Verbs") -> None:
    what = "compile pipelines and components to IR YAML, linted"
    parser = options.verb(verbs, "compile", what, *_EXAMPLES)
    options.project(parser)
    out = pathlib.Path("build")
    parser.add_argument("--out", type=pathlib.Path, default=out, help="folder to write to")
    parser.add_argument("--site", default="cluster", help="a site file, or the name of one here")
    native = "write Pipeline and PipelineVersion objects as well, to OUT/kubernetes"
    parser.add_argument("--kubernetes", action="store_true", help=native)
    released = "compare with released IR, a file or a folder; refuse what breaks its callers"
    parser.add_argument("--against", type=pathlib.Path, metavar="RELEASED", help=released)
    meant = "a break that is meant, by the name that --against prints; may be repeated"
    parser.add_argument("--accept", action="append", default=[], metavar="NAME", help=meant)
    parser.set_defaults(do=do)


def do(arguments: argparse.Namespace) -> int:
    """Compile everything for a cluster; refuse what the linter finds."""
    from pipelines import compiled
    from pipelines.place import Place
    from pipelines.project import load

    if arguments.accept and not arguments.against:
        raise UserError(
            f"--accept {arguments.accept[0]}: nothing is compared; name what was released with "
            "--against",
            code="release-unnamed",
        )
    place = Place.named(arguments.site)
    files = compiled.compile_all(load(arguments.project), place, arguments.out)
    check(files, place.site)
    if arguments.kubernetes:
        _write_objects(files, arguments.out / "kubernetes", place.site)
    say(f"{len(files)} files in {arguments.out}, no findings")
    if arguments.against:
        _compare(files, arguments.against, set(arguments.accept))
    return 0


def check(files: list[pathlib.Path], site: "Site") -> None:
    """Refuse what the linter finds in compiled files, and what the site's law does not allow."""
    _lint(files)
    _hold(files, site)


def _lint(files: list[pathlib.Path]) -> None:
    from pipelines import linter

    findings = [finding for file in files for finding in linter.lint(file)]
    for finding in findings:
        say(finding)
    if findings:
        raise Refused(
            f"{len(findings)} findings in {len(files)} compiled files; see above",
            code="lint-findings",
        )


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


def _write_objects(files: list[pathlib.Path], out: pathlib.Path, site: "Site") -> None:
    from pipelines import native

    pipelines = [file for file in files if file.parent.name == "pipelines"]
    written = native.write(pipelines, out, namespace=site.namespace)
    say(f"{written} objects in {out}, of namespace {site.namespace}")


def _compare(files: list[pathlib.Path], against: pathlib.Path, accepted: set[str]) -> None:
    """Say what has changed since the release; refuse what breaks callers and is not meant."""
    from pipelines import diff

    changed = list(diff.compare(*diff.both(against, files)))
    for name, changes in changed:
        say("\n  ".join([name, *map(str, changes)]))
    breaks = {one.breaks for _, changes in changed for one in changes if one.breaks}
    for name in sorted(accepted - breaks):
        say(f"accepted, but breaks nothing: {name}; remove it")
    say(f"{len(changed)} changed since {against}, {len(breaks - accepted)} breaks not accepted")
    if unmeant := sorted(breaks - accepted):
        raise Refused(
            f"breaks who calls: {', '.join(unmeant)}; give the parameter back, with a default, "
            "or name what is meant with --accept",
            code="callers-broken",
        )
