"""`falaj verify`: every link of the audit log, every release, every statement on residency."""

import argparse
from typing import TYPE_CHECKING

from components.foundation.errors import Refused
from pipelines.commands import options
from pipelines.commands.screen import say

if TYPE_CHECKING:
    from pipelines.commands.options import Verbs
    from pipelines.laptop.session import Session


def add(verbs: "Verbs") -> None:
    what = "check the audit log, every sealed release and statement"
    shown = ("falaj verify", "falaj verify --state out/laptop")
    parser = options.verb(verbs, "verify", what, *shown)
    options.state(parser)
    parser.set_defaults(do=do)


def do(arguments: argparse.Namespace) -> int:
    """Check all evidence, offline but for the store."""
    from components.foundation.audit import AuditLog
    from components.foundation.sealing import release
    from components.governance.attest_residency import statement
    from pipelines.laptop import session

    with session.storing(arguments.state) as laptop:
        say(f"audit log: {AuditLog(laptop.store).verify()} entries, every link holds")
        uris = list(release.releases(store=laptop.store))
        refused = [uri for uri in uris if not _verified(uri, laptop)]
        checked = list(statement.verify(store=laptop.store, keys=laptop.keys))
    for one in checked:
        say(one)
    if refused:
        raise Refused(
            f"{len(refused)} of {len(uris)} releases do not verify; see above",
            code="releases-do-not-verify",
        )
    if wrong := [one.address for one in checked if one.problem]:
        raise Refused(
            f"{len(wrong)} of {len(checked)} statements on residency do not verify; see above",
            code="attestation-altered",
        )
    return 0


def _verified(uri: str, laptop: "Session") -> bool:
    """Say whether a release is what was sealed, and what is wrong if not."""
    from components.foundation.sealing import release

    try:
        release.verify(uri, store=laptop.store, keys=laptop.keys)
    except Refused as refusal:
        say(f"refused: {refusal}")
        return False
    say(f"verified: {uri}")
    return True
