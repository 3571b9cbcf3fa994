"""Signed JSON: DSSE envelopes (https://github.com/secure-systems-lab/dsse)."""

import base64
import binascii
import json
from dataclasses import dataclass

from components.foundation import digests
from components.foundation.errors import Refused
from components.foundation.sealing.keys import KeyRing

MAX_BYTES = 4 << 20
_MAX_SIGNATURES = 16


def sign(payload: bytes, *, kind: str, keys: KeyRing) -> bytes:
    """Wrap a payload and our signature over it and its kind."""
    signature = {
        "keyid": keys.signer_id,
        "sig": _text(keys.sign(_message(kind, payload))),
    }
    return digests.canonical_json(
        {"payloadType": kind, "payload": _text(payload), "signatures": [signature]}
    )


@dataclass(frozen=True, slots=True)
class Opened:
    """What was signed, and the id of whoever signed it."""

    payload: bytes
    signer: str


def open_signed(data: bytes, *, kind: str, keys: KeyRing, where: str) -> Opened:
    """Return the payload, of which no byte is interpreted before the signature holds.

    Raises:
        Refused: it is no envelope, of another kind, or not signed by a verifier of the ring.
    """
    got, payload, signatures = _parse(data, where)
    if got != kind:
        raise Refused(
            f"{where}: holds {got!r}, expected {kind!r}; this is not the object it claims",
            code="envelope-kind",
        )
    signer = keys.signed_by(_message(kind, payload), signatures, where=where)
    if signer is None:
        raise Refused(
            f"{where}: not signed by our signer {keys.signer_id[:16]}; it was changed, or made by "
            "somebody else: seal it again, or use the ring of whoever signed it",
            code="signer-unknown",
        )
    return Opened(payload, signer)


def _message(kind: str, payload: bytes) -> bytes:
    """Return what is signed: DSSE's pre-authentication encoding."""
    name = kind.encode()
    return b"DSSEv1 %d %b %d %b" % (len(name), name, len(payload), payload)


def _parse(data: bytes, where: str) -> tuple[str, bytes, list[bytes]]:
    try:
        value = json.loads(data)
        signatures = [_bytes(entry["sig"]) for entry in value["signatures"]]
        if len(signatures) > _MAX_SIGNATURES:
            raise ValueError("too many")
        return str(value["payloadType"]), _bytes(value["payload"]), signatures
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error):
        raise Refused(
            f"{where}: is not a signed envelope; unsigned releases and plaintext are refused, "
            "seal the model instead",
            code="unsigned",
        ) from None


def _text(data: bytes) -> str:
    return base64.standard_b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
