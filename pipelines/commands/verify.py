"""`falaj verify`: every link of the audit log and every release."""

import argparse
from typing import TYPE_CHECKING

from components.foundation.errors import Refused
from pipelines.commands import options
from pipelines.commands.screen import say

if TYPE_CHECKING:
    from pipelines.commands.options import Verbs
    from pipelines.laptop.session import Session


def add(verbs: "Verbs") -> None:
    what = "check the audit log and every sealed release"
    shown = ("falaj verify", "falaj verify --state out/laptop")
    parser = options.verb(verbs, "verify", what, *shown)
    options.state(parser)
    parser.set_defaults(do=do)


def do(arguments: argparse.Namespace) -> int:
    """Check every link of the audit log and every release, offline but for the store."""
    from components.foundation.audit import AuditLog
    from components.foundation.sealing import release
    from pipelines.laptop import session

    with session.storing(arguments.state) as laptop:
        say(f"audit log: {AuditLog(laptop.store).verify()} entries, every link holds")
        uris = list(release.releases(store=laptop.store))
        refused = [uri for uri in uris if not _verified(uri, laptop)]
    if refused:
        raise Refused(
            f"{len(refused)} of {len(uris)} releases do not verify; see above",
            code="releases-do-not-verify",
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
