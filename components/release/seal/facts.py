"""What a release says of where it comes from: nothing of it may be missing."""

import pathlib
from collections.abc import Mapping
from typing import Any

from components.foundation import digests
from components.foundation.errors import FalajError, UserError
from components.foundation.tables import TableRef

_SOURCE = pathlib.Path(__file__).parents[2]  # the package `components`, as this step runs it


def source() -> str:
    """Digest the components' own code."""
    files = sorted(_SOURCE.rglob("*.py"))
    named = {path.relative_to(_SOURCE).as_posix(): str(digests.of_file(path)) for path in files}
    return str(digests.of_json(named))


def complete(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts.

    Raises:
        UserError: training tables, images or code are not said, or not which ones.
    """
    training, images, code = (facts.get(name) for name in ("training", "images", "code"))
    tables = training if isinstance(training, list) else [training]
    if not tables or not all(map(_pinned, tables)):
        raise _lacking("training", training, "tables with their versions, s3://BUCKET/TABLE@7")
    if not isinstance(images, Mapping) or not images or not all(map(_exact, images.values())):
        raise _lacking("images", images, "images by digest, {NAME: REPOSITORY@sha256:...}")
    if not isinstance(code, str) or not code:
        raise _lacking("code", code, "the revision of the code, or a digest of it")
    return dict(facts)


def _pinned(table: Any) -> bool:
    try:
        return isinstance(TableRef.parse(str(table)).version, int)
    except FalajError:
        return False


def _exact(image: Any) -> bool:
    return isinstance(image, str) and "@sha256:" in image


def _lacking(name: str, got: Any, expected: str) -> UserError:
    return UserError(
        f"fact {name!r}: is {str(got)[:80]!r}, expected {expected}; pass it on to seal, whose "
        "statement binds it",
        code="release-fact-missing",
    )
