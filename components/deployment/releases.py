"""Which release is meant: one that is named, or the one that a channel points at."""

from components.foundation.errors import UserError
from components.foundation.sealing import channel as channels
from components.foundation.sealing.keys import KeyRing
from components.foundation.sealing.uri import ReleaseUri
from components.foundation.storage import ObjectStore


def named(text: str, *, model: str) -> ReleaseUri:
    """Parse a release of a model."""
    release = ReleaseUri.parse(text)
    if release.model != model:
        raise UserError(f"release {release}: is of {release.model!r}, expected one of {model!r}")
    return release


def pointed(model: str, *, channel: str, store: ObjectStore, keys: KeyRing) -> ReleaseUri:
    """Return the release that a model's channel points at."""
    pointer = channels.current(model, store=store, keys=keys, channel=channel)
    if pointer is None:
        raise UserError(
            f"channel {model}/{channel}: was never set; register a release there or name one"
        )
    return ReleaseUri.parse(pointer.uri)
