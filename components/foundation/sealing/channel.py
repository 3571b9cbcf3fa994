"""Channels: signed pointers to a model's release, moved by compare-and-swap.

    s3://falaj-models/MODEL/channel/CHANNEL

A pointer carries its history and a serial that only grows; the evidence holds a note of every
move (moves.py). Pointing where the channel already points changes nothing but the time of the
signature, which a reader may demand to be young.
"""

import dataclasses
import datetime
import json
from dataclasses import asdict, dataclass
from typing import Any, Self

from components.foundation import digests, verdict
from components.foundation.errors import Refused, UserError
from components.foundation.sealing import envelope, moves
from components.foundation.sealing import release as releases
from components.foundation.sealing.keys import KeyRing
from components.foundation.sealing.uri import BUCKET, ReleaseUri, checked_name
from components.foundation.storage import Address, Conflict, NotFound, ObjectStore

CHAMPION = "champion"
_KIND = "application/vnd.falaj.channel+json"
_HISTORY = 200


@dataclass(frozen=True, slots=True)
class Move:
    """One place the channel pointed at; `content` is the release's digest."""

    serial: int
    uri: str
    content: str
    reason: str
    time: str


@dataclass(frozen=True, slots=True)
class Pointer:
    """Where a channel points; `history` is newest first and includes the present.

    Attributes:
        signed: when that was said last; a move says it, and `renew`.
    """

    model: str
    channel: str
    history: tuple[Move, ...]
    signed: str = ""

    def __str__(self) -> str:
        return f"{_address(self.model, self.channel)}@{self.serial}"

    @property
    def uri(self) -> str:
        return self.history[0].uri

    @property
    def serial(self) -> int:
        return self.history[0].serial

    @property
    def reason(self) -> str:
        return self.history[0].reason

    @property
    def version(self) -> str:
        return ReleaseUri.parse(self.uri).version

    @property
    def previous(self) -> str | None:
        """The release that the channel pointed at before, for a way back."""
        return self.history[1].uri if len(self.history) > 1 else None

    def present(self) -> dict[str, Any]:
        """Say where it points now, without the history."""
        return {"model": self.model, "channel": self.channel, **asdict(self.history[0])}

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Self:
        history = tuple(Move(**move) for move in value["history"])
        return cls(value["model"], value["channel"], history, value["signed"])

    def check_age(self, most: datetime.timedelta) -> None:
        """Refuse what was signed too long ago: it may have been put back."""
        age = datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(self.signed)
        if age > most:
            raise Refused(
                f"channel {self.model}/{self.channel}: was signed {age.days} days ago, at most "
                f"{most.days} are allowed; renew it if it is the newest: falaj channels "
                f"{self.model} --channel {self.channel} --renew",
                code="channel-stale",
            )


def current(
    model: str,
    *,
    store: ObjectStore,
    keys: KeyRing,
    channel: str = CHAMPION,
    max_age: datetime.timedelta | None = None,
) -> Pointer | None:
    """Return where a channel points, or None when it was never set.

    Raises:
        Refused: the pointer is not signed by us, belongs to another model or channel, was
            signed longer ago than allowed, or is not the newest in the evidence.
    """
    found = _read(model, channel, store, keys)
    if found is None:
        return None
    if max_age is not None:
        found[0].check_age(max_age)
    return found[0]


def resolve(
    model: str, uri: str, *, store: ObjectStore, keys: KeyRing, channel: str = CHAMPION
) -> str:
    """Return the release that is meant: the one given, else where the channel points.

    Raises:
        UserError: none was given and the channel was never set.
    """
    if uri:
        return str(ReleaseUri.parse(uri))
    pointer = current(model, store=store, keys=keys, channel=channel)
    if pointer is None:
        raise UserError(
            f"channel {model}/{channel}: points nowhere yet; register a release there, or name one",
            code="channel-unset",
        )
    return pointer.uri


def move(
    model: str,
    to_uri: str,
    *,
    store: ObjectStore,
    keys: KeyRing,
    channel: str = CHAMPION,
    reason: str,
) -> Pointer:
    """Point a channel at a release of its model.

    Raises:
        Conflict: somebody else moved it meanwhile; look again before you decide again.
        Refused: the release is not signed by us.
        UserError: the release is of another model.
    """
    location = ReleaseUri.parse(to_uri)
    if location.model != model:
        raise UserError(
            f"channel {model}/{channel}: {to_uri} is a release of {location.model}; name one of "
            f"{model}",
            code="release-of-another-model",
        )
    target = releases.read(location, store=store, keys=keys)
    found = _read(model, channel, store, keys)
    before, etag = found or (Pointer(model, channel, ()), None)
    if before.history and before.uri == to_uri:
        _note(before, store)
        return before
    serial = before.serial + 1 if before.history else 1
    content = str(target.statement.content)
    step = Move(serial, to_uri, content, reason, verdict.now())
    history = (step, *before.history)[:_HISTORY]
    after = dataclasses.replace(before, history=history, signed=step.time)
    _write(after, etag, store, keys)
    _note(after, store)
    return after


def renew(
    model: str, *, store: ObjectStore, keys: KeyRing, channel: str = CHAMPION
) -> Pointer | None:
    """Sign a channel anew where it points, so that its readers see it young; None if unset.

    Raises:
        Conflict: somebody moved it meanwhile.
        Refused: it is not the newest state that was signed, or its signer was revoked and the
            evidence does not hold all its moves.
    """
    found = _renewable(model, channel, store, keys)
    if found is None:
        return None
    after = dataclasses.replace(found[0], signed=verdict.now())
    _write(after, found[1], store, keys)
    return after


def _address(model: str, channel: str) -> Address:
    return Address(BUCKET, f"{checked_name(model)}/channel/{checked_name(channel, 'channel')}")


def _read(
    model: str, channel: str, store: ObjectStore, keys: KeyRing
) -> tuple[Pointer, str] | None:
    """Read a channel's newest state; what moves while we look is looked at again."""
    seen = -1
    while True:
        found = _signed(model, channel, store, keys)
        serial = found[0].serial if found else 0
        if not moves.goes_on(model, channel, serial, store=store):
            break
        if serial <= seen:
            raise moves.put_back(model, channel, serial)
        seen = serial
    if found is not None:
        _check_note(found[0], store)
    return found


def _signed(
    model: str, channel: str, store: ObjectStore, keys: KeyRing
) -> tuple[Pointer, str] | None:
    address = _address(model, channel)
    try:
        signed, etag = store.get_with_etag(address)
    except NotFound:
        return None
    where = f"channel {address}"
    payload = envelope.open_signed(signed, kind=_KIND, keys=keys, where=where).payload
    pointer = _decode(payload, where)
    if (pointer.model, pointer.channel) != (model, channel):
        raise Refused(
            f"{where}: was signed for {pointer.model}/{pointer.channel}; a channel cannot "
            "be copied",
            code="channel-copied",
        )
    return pointer, etag


def _check_note(pointer: Pointer, store: ObjectStore) -> None:
    move = asdict(pointer.history[0])
    moves.check(pointer.model, pointer.channel, pointer.serial, move, store=store)


def _renewable(
    model: str, channel: str, store: ObjectStore, keys: KeyRing
) -> tuple[Pointer, str] | None:
    """Read a channel that may be signed anew: its signer is believed, or else the evidence."""
    try:
        return _read(model, channel, store, keys)
    except Refused as refused:
        if refused.code != "signer-revoked":
            raise
    found = _read(model, channel, store, keys.before_revocations())
    if found is not None:
        _check_noted(found[0], store)
    return found


def _check_noted(pointer: Pointer, store: ObjectStore) -> None:
    """Hold every move against the evidence: a stolen key can sign, but not write there."""
    for step in pointer.history:
        if not moves.noted(pointer.model, pointer.channel, step.serial, asdict(step), store=store):
            raise Refused(
                f"channel {pointer.model}/{pointer.channel}: move {step.serial} is signed by a "
                "revoked key, and the evidence does not hold it; remove the object if nobody can "
                "answer for it, then register the release anew",
                code="signer-unrecorded",
            )


def _note(pointer: Pointer, store: ObjectStore) -> None:
    move = asdict(pointer.history[0])
    moves.remember(pointer.model, pointer.channel, pointer.serial, move, store=store)


def _decode(payload: bytes, where: str) -> Pointer:
    try:
        pointer = Pointer.from_dict(json.loads(payload))
        serials = [step.serial for step in pointer.history]
        if not serials or serials != list(range(serials[0], serials[0] - len(serials), -1)):
            raise ValueError(f"serials {serials[:5]} do not follow each other")
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(
            f"{where}: is signed, but no channel of this format: {error}; was it written by a "
            "newer version?",
            code="channel-malformed",
        ) from error
    return pointer


def _write(pointer: Pointer, etag: str | None, store: ObjectStore, keys: KeyRing) -> None:
    address = _address(pointer.model, pointer.channel)
    payload = digests.canonical_json(pointer.to_dict())
    signed = envelope.sign(payload, kind=_KIND, keys=keys)
    try:
        if etag is None:
            store.create(address, signed)
        else:
            store.swap(address, signed, etag=etag)
    except Conflict as error:
        raise Conflict(
            f"channel {address}: somebody else moved it meanwhile; look where it points now, "
            "then decide again",
            code="channel-raced",
        ) from error
