"""`falaj keys`: make a key ring, look at it, make keys anew, revoke one, hand it to pods."""

import argparse
import os
import pathlib
from typing import TYPE_CHECKING

from components.foundation.sealing.keys import care, custody
from components.foundation.sealing.keys.care import Kept
from pipelines.commands import options, rotation
from pipelines.commands.screen import say

if TYPE_CHECKING:
    from pipelines.commands.options import Verbs


def add(verbs: "Verbs") -> None:
    what = "make a key ring, look at it, make keys anew, revoke or share them"
    shown = ("falaj keys new keys", "falaj keys list keys", "falaj keys rotate --wrapping")
    deeper = options.verb(verbs, "keys", what, *shown).add_subparsers(required=True, metavar="WHAT")
    _new(deeper)
    parser = options.verb(deeper, "list", "show every key of a ring", "falaj keys list keys")
    parser.add_argument("folder", nargs="?", default="", help="default: FALAJ_KEYS")
    parser.set_defaults(do=show)
    what = "write what opens releases, and nothing that signs, to a new folder"
    parser = options.verb(deeper, "share", what, "falaj keys share out/pod-keys")
    parser.add_argument("folder", type=pathlib.Path, help="new or empty")
    parser.set_defaults(do=share)
    rotation.add(deeper)


def _new(verbs: "Verbs") -> None:
    what = "make a signing key and a wrapping key in a new folder"
    shown = ("falaj keys new keys", "falaj keys new keys --custodian a.hex --custodian b.hex")
    parser = options.verb(verbs, "new", what, *shown)
    parser.add_argument("folder", type=pathlib.Path, help="new or empty")
    under, kind = parser.add_mutually_exclusive_group(), pathlib.Path
    said = f"what encrypts the signing key; default: {custody.VARIABLE}, if set"
    under.add_argument("--passphrase-file", type=kind, metavar="F", help=said)
    said = "a new file for a component of the passphrase; all sign together, none alone"
    under.add_argument("--custodian", action="append", type=kind, metavar="FILE", help=said)
    said = "a public key, *.pub.pem, whose holder opens every release too; may be repeated"
    parser.add_argument(
        "--recovery", action="append", default=[], type=kind, metavar="FILE", help=said
    )
    parser.set_defaults(do=new)


def new(arguments: argparse.Namespace) -> int:
    """Make a ring, and show it."""
    given = [arguments.passphrase_file] if arguments.passphrase_file else []
    care.make(
        arguments.folder,
        passphrase_files=arguments.custodian or given,
        split=bool(arguments.custodian),
        recovery=arguments.recovery,
        environment=os.environ,
    )
    return rotation.table(Kept.from_environment({"FALAJ_KEYS": str(arguments.folder)}).parts())


def show(arguments: argparse.Namespace) -> int:
    """Show every key of a ring, and nothing secret."""
    named = {"FALAJ_KEYS": arguments.folder} if arguments.folder else {}
    return rotation.table(Kept.from_environment({**os.environ, **named}).parts())


def share(arguments: argparse.Namespace) -> int:
    """Write what opens releases to a folder."""
    care.share(Kept.from_environment(os.environ), arguments.folder)
    say(f"{arguments.folder} opens releases and signs none")
    return 0
