"""`falaj channels`: where a model's channel points, since when, and signed how long ago."""

import argparse
from typing import TYPE_CHECKING

from components.foundation.errors import UserError
from components.foundation.sealing import channel as channels
from pipelines.commands import options
from pipelines.commands.releases import store_and_keys
from pipelines.commands.screen import say

if TYPE_CHECKING:
    from pipelines.commands.options import Verbs


def add(verbs: "Verbs") -> None:
    what = "show where a model's channel points and pointed, or sign it anew"
    shown = ("falaj channels delays", "falaj channels delays --channel candidate --renew")
    parser = options.verb(verbs, "channels", what, *shown)
    parser.add_argument("model", help="name of the model, e.g. delays")
    parser.add_argument("--channel", default=channels.CHAMPION, help="champion, candidate, ...")
    parser.add_argument("--renew", action="store_true", help="sign it anew where it points")
    parser.set_defaults(do=do)


def do(arguments: argparse.Namespace) -> int:
    """Show a channel, newest move first."""
    store, keys = store_and_keys()
    look = channels.renew if arguments.renew else channels.current
    pointer = look(arguments.model, store=store, keys=keys, channel=arguments.channel)
    if pointer is None:
        raise UserError(
            f"channel {arguments.model}/{arguments.channel}: points nowhere yet; register a "
            "release there",
            code="channel-unset",
        )
    say(f"{pointer}, signed {pointer.signed}")
    for move in pointer.history:
        say(f"{move.serial:>4}  {move.time}  {move.uri}  {move.reason}")
    return 0
