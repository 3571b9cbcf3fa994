"""What the evidence remembers of a channel's moves, so that an old state put back shows.

    s3://falaj-evidence/channels/MODEL/CHANNEL/SERIAL.json

One object a move, created and never replaced, in the bucket that locks its objects. A signature
says that a state was ours once, not that it is the newest; whoever can write the models' bucket
but not the evidence cannot pass an old one off as the present.
"""

import contextlib
from typing import Any

from components.foundation import digests
from components.foundation.errors import Refused
from components.foundation.storage import Address, Conflict, NotFound, ObjectStore

MOVES = Address("falaj-evidence", "channels/")


def remember(
    model: str, channel: str, serial: int, move: dict[str, Any], *, store: ObjectStore
) -> None:
    """Note a move that was made; what is noted already stays as it is."""
    with contextlib.suppress(Conflict):
        store.create(_place(model, channel, serial), digests.canonical_json(move))


def goes_on(model: str, channel: str, serial: int, *, store: ObjectStore) -> bool:
    """Say whether there was a move after this one."""
    return store.exists(_place(model, channel, serial + 1))


def put_back(model: str, channel: str, serial: int) -> Refused:
    """Say that a channel's object is older than its newest move."""
    return Refused(
        f"channel {model}/{channel}: is at move {serial}, the evidence holds move {serial + 1}; an "
        "old state was put back: restore the newest version of the object, and find out who "
        "wrote it",
        code="channel-put-back",
    )


def check(
    model: str, channel: str, serial: int, move: dict[str, Any], *, store: ObjectStore
) -> None:
    """Hold a move against its note.

    A mover that was killed before it noted its move leaves no note; its signature is enough.

    Raises:
        Refused: the note is of another move.
    """
    try:
        noted = store.get_bounded(_place(model, channel, serial), limit=1 << 20)
    except NotFound:
        return
    if noted != digests.canonical_json(move):
        raise Refused(
            f"channel {model}/{channel}: move {serial} is not the one in the evidence, {MOVES}; "
            "two histories were signed: restore the object, and find out who signs",
            code="channel-forked",
        )


def noted(
    model: str, channel: str, serial: int, move: dict[str, Any], *, store: ObjectStore
) -> bool:
    """Tell whether exactly this move is in the evidence, whoever signed it."""
    check(model, channel, serial, move, store=store)
    return store.exists(_place(model, channel, serial))


def _place(model: str, channel: str, serial: int) -> Address:
    return MOVES / f"{model}/{channel}/{serial:08d}.json"
