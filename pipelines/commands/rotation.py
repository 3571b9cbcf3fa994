"""`falaj keys rotate | revoke`: what changes a ring, with a note in the audit log."""

import argparse
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from components.foundation.audit import AuditLog
from components.foundation.errors import FalajError, UserError
from components.foundation.sealing import rewrap
from components.foundation.sealing.keys import care
from components.foundation.sealing.keys.care import Kept, Part
from components.foundation.storage import ObjectStore, Settings
from components.foundation.verdict import now
from pipelines.commands import options
from pipelines.commands.screen import say

if TYPE_CHECKING:
    from pipelines.commands.options import Verbs


def add(verbs: "Verbs") -> None:
    what = "make new keys beside the old, which are believed and open on"
    parser = options.verb(verbs, "rotate", what, "falaj keys rotate --signing --wrapping")
    parser.add_argument("--signing", action="store_true", help="the key that signs")
    parser.add_argument("--wrapping", action="store_true", help="the keys in files that open")
    parser.set_defaults(do=rotate)
    what = "believe a verifier no more, or wrap nothing more for a recipient"
    shown = "falaj keys revoke 3fa9c1d2 --reason 'a laptop was stolen'"
    parser = options.verb(verbs, "revoke", what, shown)
    parser.add_argument("id", help="of the key, or how it begins; falaj keys list shows it")
    parser.add_argument("--reason", required=True, help="why, in a few words")
    said = "remove a recipient: it opens nothing any more"
    parser.add_argument("--everywhere", action="store_true", help=said)
    parser.set_defaults(do=revoke)


def rotate(arguments: argparse.Namespace) -> int:
    """Make new keys."""
    if not (arguments.signing or arguments.wrapping):
        raise UserError("keys rotate: say which: --signing, --wrapping", code="keys-unnamed")
    kept = Kept.from_environment(os.environ)
    made = care.rotate(kept, signing=arguments.signing, wrapping=arguments.wrapping)
    for part in made:
        _note(part, "made by rotation")
    return table(Kept.from_environment(os.environ).parts())


def revoke(arguments: argparse.Namespace) -> int:
    """Revoke a key, and say how many releases are wrapped for it still."""
    kept, said = Kept.from_environment(os.environ), {"reason": arguments.reason}
    done = care.revoke(kept, arguments.id, **said, everywhere=arguments.everywhere, left=_left)
    _note(done, arguments.reason)
    if done.state == "retired" and "AWS_ENDPOINT_URL" in os.environ:
        say(f"{_left(done.id)} releases are wrapped for it still: falaj rewrap --all")
    return table([done])


def table(parts: Sequence[Part]) -> int:
    """Print keys, one a line; nothing of them is secret."""
    rows = [("ID", "PLACE", "ROLE", "USE", "STATE")]
    rows += [(part.shown, part.place, part.role, part.use, part.state) for part in parts]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        say("  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip())
    return 0


def _left(recipient: str) -> int:
    return sum(1 for _ in rewrap.wrapped_for(recipient, store=_store()))


def _store() -> ObjectStore:
    return ObjectStore(Settings.from_environment(os.environ))


def _note(part: Part, why: str) -> None:
    """Note a change in the audit log; the ring is changed, so a store that is away is told."""
    body = {"role": part.role, "place": part.place, "state": part.state, "why": why, "time": now()}
    try:
        AuditLog(_store()).append("key", part.id, body)
    except FalajError as error:
        say(f"not noted in the audit log, {part.shown} is changed: {error.shown}")
