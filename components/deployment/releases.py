"""Which release is meant, and what its signed statement says that it takes to serve it."""

from collections.abc import Callable

from components.deployment.slots import Runtime
from components.deployment.transformer import Transformer
from components.foundation import trained_with
from components.foundation.errors import UserError
from components.foundation.programs import PROGRAMS, only
from components.foundation.sealing import channel as channels
from components.foundation.sealing import release as sealed
from components.foundation.sealing.keys import KeyRing
from components.foundation.sealing.release import Release
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


def read(text: str, *, model: str, store: ObjectStore, keys: KeyRing) -> Release:
    """Return the release that a text names, or the candidate channel's, its signature checked.

    Raises:
        UserError: it is of another model, not there, or the channel was never set.
        Refused: the channel or the release is not signed by us.
    """
    wanted = chosen(text, model=model, channel="candidate", store=store, keys=lambda: keys)
    return sealed.read(wanted, store=store, keys=keys)


def _of_model(release: ReleaseUri, model: str) -> ReleaseUri:
    if release.model != model:
        raise UserError(
            f"release {release}: is of {release.model!r}, expected one of {model!r}",
            code="release-of-another-model",
        )
    return release


def runtime(release: Release) -> Runtime:
    """Return what serves a release: its one program says it, and that is signed.

    Raises:
        UserError: it holds no program, or several.
    """
    paths = [file.path for file in release.statement.files]
    return Runtime.of(PROGRAMS[only(paths, where=f"release {release.uri}")])


def transformer(release: Release, repository: str, *, image: str) -> Transformer | None:
    """Return what looks a release's features up; None where no repository is named.

    Raises:
        UserError: the release does not say what features it was trained with.
    """
    if not repository:
        return None
    features = trained_with.of(release.statement.facts)
    if len(features) < 2:
        raise UserError(
            f"release {release.uri}: says {', '.join(features) or 'nothing'} of its features; seal "
            "it with feature_service and feature_registry, or deploy it without "
            "feature_repository",
            code="release-without-features",
        )
    service, registry = features[trained_with.SERVICE], features[trained_with.REGISTRY]
    return Transformer(image, repository, service, registry)
