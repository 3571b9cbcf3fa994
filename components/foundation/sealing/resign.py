"""Sign releases anew with the key of today, once the key that signed them was revoked.

`model.sig` goes first, then the statement, each by compare-and-swap. Between the two the release
opens as before: a `model.sig` by the signer of today over the same files is taken as well.
"""

import dataclasses

from components.foundation import digests
from components.foundation.audit import AuditLog
from components.foundation.errors import Refused
from components.foundation.sealing import envelope, openssf
from components.foundation.sealing import release as releases
from components.foundation.sealing.keys import KeyRing
from components.foundation.sealing.paths import SIGNATURE
from components.foundation.sealing.release import Release
from components.foundation.sealing.statement import KIND, Statement
from components.foundation.sealing.uri import ReleaseUri
from components.foundation.storage import Address, Conflict, ObjectStore

_STATEMENT = "statement.json"
HATCH = "--unsafe-unrecorded"


def resign(uri: str, *, store: ObjectStore, keys: KeyRing, unrecorded: bool = False) -> Release:
    """Sign a release anew: the same files, facts and name, every sealed byte verified first.

    What a revoked key signed may be made by whoever took it, so the audit log has to hold it.

    Args:
        uri: the release.
        store: where it lies.
        keys: the ring that signs, and that names the revoked verifier.
        unrecorded: a person answers for a release that the audit log does not hold.

    Returns:
        The release as it is now; the same if the key of today had signed it already.

    Raises:
        Conflict: somebody else did so meanwhile.
        Refused: it is not as it was signed, or the evidence does not hold it.
        UserError: no such release, or the ring cannot sign.
    """
    location = ReleaseUri.parse(uri)
    found = releases.verify(uri, store=store, keys=keys.before_revocations())
    if found.signer == keys.signer_id:
        return found
    if keys.revoked(found.signer) and not unrecorded:
        _check_recorded(found, store)
    signature = _signature(found, store, keys)
    statement = dataclasses.replace(found.statement, signature=digests.of_bytes(signature))
    _replace(location.address / _STATEMENT, found, statement, store, keys)
    return releases.read(location, store=store, keys=keys)


def _check_recorded(release: Release, store: ObjectStore) -> None:
    if AuditLog(store).find("release", release.uri, release.to_dict()) is None:
        raise Refused(
            f"release {release.uri}: is signed by {release.signer[:16]}, which was revoked, and "
            "the audit log does not hold it: whoever took the key may have made it; seal the "
            f"model again from its run, or, if you answer for its files, add {HATCH}",
            code="signer-unrecorded",
        )


def _signature(release: Release, store: ObjectStore, keys: KeyRing) -> bytes:
    """Replace `model.sig`, or adopt what somebody who was killed had put there."""
    address = release.location.address / SIGNATURE
    plain = {file.path: file.plain for file in release.statement.files}
    data, etag = store.get_with_etag(address)
    if openssf.is_ours(data, release.model, plain, keys=keys):
        return data
    data = openssf.sign(release.model, plain, keys=keys)
    _swap(address, data, etag, store)
    return data


def _replace(
    address: Address, found: Release, statement: Statement, store: ObjectStore, keys: KeyRing
) -> None:
    """Replace the statement that was verified, and no other."""
    data, etag = store.get_with_etag(address)
    before = envelope.open_signed(
        data, kind=KIND, keys=keys.before_revocations(), where=str(address)
    )
    if before.payload != found.statement.encode():
        raise _raced(address)
    signed = envelope.sign(statement.encode(), kind=KIND, keys=keys)
    _swap(address, signed, etag, store)


def _swap(address: Address, data: bytes, etag: str, store: ObjectStore) -> None:
    try:
        store.swap(address, data, etag=etag)
    except Conflict as error:
        raise _raced(address) from error


def _raced(address: Address) -> Conflict:
    return Conflict(
        f"{address}: somebody else signed it anew meanwhile; run falaj resign again",
        code="resign-raced",
    )
