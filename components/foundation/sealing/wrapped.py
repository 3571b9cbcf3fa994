"""The release key, wrapped for those who may open the release (`keys.json`)."""

import base64
import binascii
import json
import re
import secrets
from collections.abc import Callable
from typing import Any

from components.foundation import digests
from components.foundation.digests import Digest
from components.foundation.errors import Refused
from components.foundation.sealing.keys import KeyRing, WrappedKey
from components.foundation.sealing.source import Source
from components.foundation.storage import Address, Conflict, NotFound, ObjectStore

_FORMAT = 2
_MAX_BYTES = 1 << 20
_MAX_RECIPIENTS = 64
_NAME = re.compile(r"[A-Za-z0-9:/._=@+-]{1,200}")  # nobody signed it, and it may be shown


def address(release: Address) -> Address:
    return release / "keys.json"


def get_or_create(release: Address, content: Digest, *, store: ObjectStore, keys: KeyRing) -> bytes:
    """Return the release's key, or make it; of racing sealers all use the first one's."""
    try:
        return get(release, content, store=store, keys=keys)
    except NotFound:
        key = secrets.token_bytes(32)
    try:
        store.create(address(release), _encode(keys.wrap(key, context=_context(content))))
    except Conflict:
        return get(release, content, store=store, keys=keys)
    return key


def get(release: Address, content: Digest, *, store: Source, keys: KeyRing) -> bytes:
    """Unwrap the release's key.

    Raises:
        NotFound: there is no wrapped key.
        Refused: none was wrapped for this ring, or it was wrapped for another content.
    """
    where = address(release)
    entries = _decode(store.get_bounded(where, limit=_MAX_BYTES), where)
    return keys.unwrap(entries, context=_context(content), where=str(where))


def recipients(release: Address, *, store: ObjectStore) -> list[str]:
    """Say for whom the release's key is wrapped, as nobody signed it; raises as `get` does."""
    where = address(release)
    return [e.recipient for e in _decode(store.get_bounded(where, limit=_MAX_BYTES), where)]


def replace(
    release: Address,
    content: Digest,
    *,
    check: Callable[[bytes], None],
    store: ObjectStore,
    keys: KeyRing,
) -> None:
    """Wrap the release's key for the recipients of today, and for nobody else.

    Args:
        release: where it lies.
        content: what the key was wrapped for.
        check: raises Refused for another key than the release's.
        store: holds it.
        keys: opens what lies there, and says who the recipients are.

    Raises:
        Conflict: somebody else did so meanwhile; theirs stays.
        NotFound, Refused: as `get` does.
    """
    where, context = address(release), _context(content)
    store.get_bounded(where, limit=_MAX_BYTES)  # else what is read next has no bound
    data, etag = store.get_with_etag(where)
    key = keys.unwrap(_decode(data, where), context=context, where=str(where))
    check(key)
    try:
        store.swap(where, _encode(keys.wrap(key, context=context)), etag=etag)
    except Conflict as error:
        raise Conflict(
            f"{where}: somebody else wrapped the key anew meanwhile; look for whom: run falaj "
            "rewrap again",
            code="rewrap-raced",
        ) from error


def _context(content: Digest) -> bytes:
    return b"falaj release key 1\x00" + str(content).encode()


def _encode(entries: list[WrappedKey]) -> bytes:
    keys = [
        {"recipient": e.recipient, "algorithm": e.algorithm, "key": _text(e.key)} for e in entries
    ]
    return digests.canonical_json({"format": _FORMAT, "keys": keys})


def _decode(data: bytes, where: Address) -> list[WrappedKey]:
    try:
        value = json.loads(data)
        if len(value["keys"]) > _MAX_RECIPIENTS:
            raise ValueError("too many")
        entries = [_entry(value, entry) for entry in value["keys"]]
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error):
        raise Refused(
            f"{where}: holds no wrapped keys of format 1 or {_FORMAT}, of which there may be "
            f"{_MAX_RECIPIENTS}; restore the object",
            code="wrapped-keys-malformed",
        ) from None
    _check_once([entry.recipient for entry in entries], where)
    return entries


def _entry(value: dict[str, Any], entry: dict[str, str]) -> WrappedKey:
    """Read an entry; format 1 had one algorithm for all, and its nonce beside the key."""
    match value["format"]:
        case 1:
            algorithm, key = value["algorithm"], _bytes(entry["nonce"]) + _bytes(entry["key"])
        case 2:
            algorithm, key = entry["algorithm"], _bytes(entry["key"])
        case _:
            raise ValueError("another format")
    if _NAME.fullmatch(entry["recipient"]) is None or _NAME.fullmatch(algorithm) is None:
        raise ValueError("a name that is none")
    return WrappedKey(entry["recipient"], algorithm, key)


def _check_once(recipients: list[str], where: Address) -> None:
    """Refuse a recipient named twice: which entry opens must not depend on who reads."""
    for recipient in recipients:
        if recipients.count(recipient) > 1:
            raise Refused(
                f"{where}: wraps the release key more than once for {recipient}, expected once "
                "for each recipient; restore the object",
                code="wrapped-keys-malformed",
            )


def _text(data: bytes) -> str:
    return base64.standard_b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
