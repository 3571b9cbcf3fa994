"""Which release is meant: one that is named, or the one that a channel points at."""

from collections.abc import Callable

from components.foundation.errors import UserError
from components.foundation.sealing import channel as channels
from components.foundation.sealing.keys import KeyRing
from components.foundation.sealing.uri import ReleaseUri
from components.foundation.storage import ObjectStore


def chosen(
    text: str, *, model: str, channel: str, store: ObjectStore, keys: Callable[[], KeyRing]
) -> ReleaseUri:
    """Return the release that a text names; if it is empty, the one a channel points at.

    Args:
        text: sealed+s3://BUCKET/MODEL/VERSION, or nothing.
        model: whose release it has to be.
        channel: where to look when no release is named, e.g. "champion".
        store: where channels lie.
        keys: gives the ring that verifies a channel; not asked for when a release is named.

    Raises:
        UserError: it is of another model, or the channel was never set.
        Refused: the channel is not signed by us.
    """
    if text:
        return _of_model(ReleaseUri.parse(text), model)
    pointer = channels.current(model, store=store, keys=keys(), channel=channel)
    if pointer is None:
        raise UserError(
            f"channel {model}/{channel}: was never set; register a release there or name one",
            code="channel-unset",
        )
    return ReleaseUri.parse(pointer.uri)


def _of_model(release: ReleaseUri, model: str) -> ReleaseUri:
    if release.model != model:
        raise UserError(
            f"release {release}: is of {release.model!r}, expected one of {model!r}",
            code="release-of-another-model",
        )
    return release
