"""`falaj rewrap | resign`: what replaces an object of a release, and proves that no other was."""

import argparse
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from components.foundation.audit import AuditLog
from components.foundation.errors import Refused, UserError
from components.foundation.sealing import release, resign
from components.foundation.sealing import rewrap as rewrapping
from components.foundation.sealing.keys import KeyRing
from components.foundation.storage import ObjectStore
from components.foundation.verdict import now
from pipelines.commands import options
from pipelines.commands.releases import store_and_keys
from pipelines.commands.screen import say

if TYPE_CHECKING:
    from pipelines.commands.options import Verbs

_URI = "sealed+s3://falaj-models/MODEL/VERSION"


def add(verbs: "Verbs") -> None:
    what = "wrap the keys of releases for the recipients of today"
    parser = options.verb(verbs, "rewrap", what, f"falaj rewrap {_URI}", "falaj rewrap --all")
    parser.add_argument("releases", nargs="*", metavar="RELEASE", help=_URI)
    parser.add_argument("--all", action="store_true", help="every release of the store")
    parser.set_defaults(do=rewrap)
    what = "sign a release anew, once the key that signed it was revoked"
    parser = options.verb(verbs, "resign", what, f"falaj resign {_URI}")
    parser.add_argument("releases", nargs="+", metavar="RELEASE", help=_URI)
    said = "sign what the audit log does not hold: you answer for it"
    parser.add_argument(resign.HATCH, dest="hatch", action="store_true", help=said)
    parser.set_defaults(do=sign)


def rewrap(arguments: argparse.Namespace) -> int:
    """Wrap keys anew; go on after one that cannot be."""
    store, keys = store_and_keys()
    if arguments.all == bool(arguments.releases):
        raise UserError("rewrap: name releases, or say --all", code="keys-unnamed")
    uris = list(release.releases(store=store)) if arguments.all else arguments.releases
    return _each(uris, lambda uri: _rewrap(uri, store, keys))


def sign(arguments: argparse.Namespace) -> int:
    """Sign releases anew; go on after one that cannot be."""
    store, keys = store_and_keys()
    return _each(arguments.releases, lambda uri: _sign(uri, store, keys, arguments.hatch))


def _each(uris: Sequence[str], do: Callable[[str], None]) -> int:
    refused = 0
    for uri in uris:
        try:
            do(uri)
        except Refused as refusal:
            say(f"refused: {refusal.shown}")
            refused += 1
    if refused:
        raise Refused(f"{refused} of {len(uris)} releases: see above", code="releases-left")
    return 0


def _rewrap(uri: str, store: ObjectStore, keys: KeyRing) -> None:
    done = rewrapping.rewrap(uri, store=store, keys=keys)
    body = {"before": list(done.before), "after": list(done.after), "others": str(done.others)}
    AuditLog(store).append("rewrap", uri, {**body, "time": now()})
    say(f"{uri}: opens for {', '.join(done.after)}; was {', '.join(done.before)}")
    say(f"  every other object before {done.others}")
    say(f"  every other object after  {done.others}, and every sealed byte as signed")


def _sign(uri: str, store: ObjectStore, keys: KeyRing, hatch: bool) -> None:
    done = resign.resign(uri, store=store, keys=keys, unrecorded=hatch)
    AuditLog(store).append("release", uri, done.to_dict())
    say(f"{uri}: signed by {done.signer[:16]}, every sealed byte as it was")
