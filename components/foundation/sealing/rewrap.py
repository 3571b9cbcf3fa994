"""Wrap the keys of releases for the recipients of today; nothing but `keys.json` is replaced."""

from collections.abc import Iterator
from dataclasses import dataclass

from components.foundation import digests
from components.foundation.digests import Digest
from components.foundation.errors import Refused
from components.foundation.sealing import release as releases
from components.foundation.sealing import wrapped
from components.foundation.sealing.keys import KeyRing
from components.foundation.sealing.uri import ReleaseUri
from components.foundation.storage import Address, NotFound, ObjectStore


@dataclass(frozen=True, slots=True)
class Rewrapped:
    """For whom a release's key was wrapped, and is.

    Attributes:
        uri: the release.
        before: recipients that were listed.
        after: recipients of today.
        others: digest over name, size and ETag of every other object, the same before and after.
    """

    uri: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    others: Digest


def rewrap(uri: str, *, store: ObjectStore, keys: KeyRing) -> Rewrapped:
    """Wrap one release's key anew, and prove that nothing else changed.

    The proof reads every sealed byte again and holds it to the signed statement.

    Raises:
        Conflict: somebody else did so meanwhile.
        Refused: the release is not as it was signed, or something else changed meanwhile.
        UserError: no such release, or our keys do not open it.
    """
    release = releases.read(ReleaseUri.parse(uri), store=store, keys=keys)
    address, statement = release.location.address, release.statement
    where = str(wrapped.address(address))
    before, listed = others(address, store=store), wrapped.recipients(address, store=store)
    wrapped.replace(
        address,
        statement.content,
        check=lambda key: statement.check_key(key, where=where),
        store=store,
        keys=keys,
    )
    releases.verify(uri, store=store, keys=keys)
    after = others(address, store=store)
    if after != before:
        raise Refused(
            f"release {uri}: its other objects were {before} and are {after}; somebody else wrote "
            "there meanwhile: find out who, and restore what was sealed",
            code="release-altered",
        )
    return Rewrapped(uri, tuple(listed), tuple(one.id for one in keys.recipients), after)


def others(release: Address, *, store: ObjectStore) -> Digest:
    """Digest name, size and ETag of every object of a release but its wrapped keys."""
    listed = store.list(release / "")
    found = [[item.address.key, item.size, item.etag] for item in listed]
    return digests.of_json([one for one in found if one[0] != wrapped.address(release).key])


def wrapped_for(recipient: str, *, store: ObjectStore) -> Iterator[str]:
    """Yield the releases that a recipient may open; those that do not say so are among them."""
    for uri in releases.releases(store=store):
        try:
            listed = wrapped.recipients(ReleaseUri.parse(uri).address, store=store)
        except (Refused, NotFound):
            listed = [recipient]
        if recipient in listed:
            yield uri
