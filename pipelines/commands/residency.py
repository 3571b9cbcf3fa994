"""`falaj residency check`: where bytes may go, by what manifests, pipelines and sites say."""

import argparse
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from components.foundation.errors import Refused, UserError
from pipelines.commands import ledger, options, texts
from pipelines.commands.screen import say

if TYPE_CHECKING:
    from components.governance.residency.checking import Judged
    from components.governance.residency.reading import Given, Laws
    from pipelines.commands.options import Verbs

_EXAMPLES = (
    "falaj residency check pipelines/sites",
    "falaj residency check build/pipelines --profile health",
    "falaj residency check rendered.yaml my-site.yaml",
)

_STATIC = pathlib.Path("build/static")


def add(verbs: "Verbs") -> None:
    parser = options.verb(verbs, "residency", "judge where bytes may go", *_EXAMPLES)
    deeper = parser.add_subparsers(required=True, metavar="COMMAND")
    what = "judge manifests, compiled pipelines and site files"
    check_ = options.verb(deeper, "check", what, *_EXAMPLES)
    given = "files or folders; -, or none, is standard input"
    check_.add_argument("paths", nargs="*", type=pathlib.Path, metavar="PATH", help=given)
    holds = "which law holds where no Namespace in the input says so"
    check_.add_argument("--profile", metavar="NAME", help=holds)
    check_.set_defaults(do=check)
    ledger.add(deeper)
    shown = ("falaj residency render --write manifests", "falaj residency render --static health")
    render_ = options.verb(deeper, "render", "write what a cluster is given to judge by", *shown)
    tree = "the folder of manifests to write to"
    render_.add_argument("--write", type=pathlib.Path, metavar="FOLDER", help=tree)
    what = "write files for an API server's staticManifestsDir, for this profile, to build/static"
    render_.add_argument("--static", metavar="NAME", help=what)
    render_.set_defaults(do=render)


def check(arguments: argparse.Namespace) -> int:
    """Print each finding; refuse when any object or site is refused."""
    from components.governance.residency import reading

    given = reading.read(texts.read(arguments.paths or [texts.STANDARD_INPUT]))
    if not given:
        raise UserError(
            "there is nothing to judge; name files or folders with objects or sites in them",
            code="objects-malformed",
        )
    sites = [one for one in given if one.is_site]
    objects = [one for one in given if not one.is_site]
    refused = sum([_site_refused(one) for one in sites])
    refused += _objects_refused(objects, arguments.profile)
    if refused:
        raise Refused(f"{refused} of {len(given)} refused; see above", code="residency-refused")
    return 0


def render(arguments: argparse.Namespace) -> int:
    """Write the manifests of residency, the files for an API server, or both."""
    from components.governance.residency import reading, rendering

    if arguments.write:
        rendering.write(arguments.write)
    if arguments.static:
        profile = reading.Laws.of([], arguments.static).holding({})
        rendering.write_static(_STATIC, profile)
    return 0


def _site_refused(given: "Given") -> bool:
    from components.foundation.site import Site
    from components.governance.attest_residency import attestation

    verdict = attestation.attest(Site.parse(given.text, source=given.source))
    say(verdict)
    return not verdict.passes


def _objects_refused(given: "list[Given]", profile: str | None) -> int:
    from components.governance.residency import reading

    seen = told(given, reading.Laws.of(given, profile))
    if given:
        say(f"{seen.judged} objects judged, {len(given) - seen.judged} that say nothing of places")
    return seen.refused


class Told(NamedTuple):
    """How many objects policies cover, and how many of these they refuse."""

    judged: int
    refused: int


def told(given: "Sequence[Given]", laws: "Laws") -> Told:
    """Judge objects and print what was found in each."""
    from components.governance.residency import checking

    answers = list(checking.judge_all(given, laws))
    for one, judged in zip(given, answers, strict=True):
        _tell(one, judged)
    refused = sum(any(one.findings for one in judged) for judged in answers)
    return Told(sum(map(bool, answers)), refused)


def _tell(given: "Given", judged: "Sequence[Judged]") -> None:
    """Print what policies found in one object, and its transfers on a recorded basis."""
    for one in judged:
        lines = [f"  {finding}" for finding in one.findings]
        lines += [f"  {transfer}: goes abroad on a recorded basis" for transfer in one.transfers]
        if lines:
            title = f"{given.source}: {one.subject} [{one.policy}]"
            say("\n".join([title, *lines, f"  {one.law}\n"]))
