"""`falaj rbac`: who may do what by manifests, and the ways by which they come to more."""

import argparse
import pathlib
from typing import TYPE_CHECKING

from components.foundation.errors import Refused
from pipelines.commands import options, texts
from pipelines.commands.screen import say

if TYPE_CHECKING:
    from components.governance.rbac.accepted import Acceptance
    from components.governance.rbac.paths import Finding
    from components.governance.rbac.rights import Access
    from pipelines.commands.options import Verbs

_EXAMPLES = (
    "falaj rbac manifests --accepted docs/rbac-accepted.yaml",
    "falaj rbac manifests/rbac --matrix",
    "falaj rbac cluster.yaml --unbound",
)


def add(verbs: "Verbs") -> None:
    what = "find the ways by which somebody comes to more rights in a cluster"
    parser = options.verb(verbs, "rbac", what, *_EXAMPLES)
    given = "files or folders of manifests; none, or -, is standard input"
    parser.add_argument("paths", nargs="*", type=pathlib.Path, metavar="PATH", help=given)
    parser.add_argument("--accepted", type=pathlib.Path, help="ways that you accept, with reasons")
    held = "hold roles that nobody is bound to against the same questions"
    parser.add_argument("--unbound", action="store_true", help=held)
    shown = "print who may do what instead"
    parser.add_argument("--matrix", action="store_true", help=shown)
    parser.set_defaults(do=do)


def do(arguments: argparse.Namespace) -> int:
    """Print each way up; refuse when there is one that nobody has accepted."""
    from components.governance.rbac import accepted, matrix, paths, reading
    from components.governance.rbac.rights import Access

    access = Access.of(reading.read(texts.read(arguments.paths or [texts.STANDARD_INPUT])))
    access = access.with_unbound() if arguments.unbound else access
    if arguments.matrix:
        say("\n".join(matrix.lines(access)))
        return 0
    found = accepted.sort(paths.find(access), _acceptances(arguments.accepted))
    for finding in found.open:
        say(_told(access, finding))
    for idle in found.idle:
        say(f"accepted, but not found: {idle.identity}: {idle.path}; remove it from the file")
    say(f"{len(access.held)} identities, {len(found.open)} ways up, {len(found.accepted)} accepted")
    if found.open:
        raise Refused(f"{len(found.open)} ways to more rights; see above", code="rbac-paths")
    return 0


def _told(access: "Access", finding: "Finding") -> str:
    from components.governance.rbac import paths

    gains = [f"\n  gains    {gain}" for gain in paths.reached(access, finding)]
    return (
        f"{finding.identity} in {finding.where}: {finding.path}\n"
        f"  by       {', '.join(finding.by)}\n"
        f"  why      {finding.why}{''.join(gains)}\n"
        f"  way out  {finding.way_out}\n"
    )


def _acceptances(path: pathlib.Path | None) -> "tuple[Acceptance, ...]":
    from components.governance.rbac import accepted

    return accepted.parse(texts.text(path)) if path else ()
