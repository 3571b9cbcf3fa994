"""Bases of transfers that people recorded in a ResidencyProfile: which holds, until when."""

from collections.abc import Mapping
from typing import Any

Basis = Mapping[str, Any]


def of(id: str, place: str, spec: Mapping[str, Any], *, on: str) -> Basis | None:
    """Return the basis on which something may be at a place, or None.

    Args:
        id: of the basis that the thing claims; nothing, where it cannot claim one, as a bucket.
        place: where it is, as bases name places; nothing, where its claim was judged already.
        spec: of the ResidencyProfile.
        on: the day, as 2026-11-29.
    """
    if spec["hardLocal"]:
        return None
    return next(
        (
            one
            for one in spec["bases"]
            if (not id or one["id"] == id)
            and (place in one["places"] or (id and not place))
            and why_not(one, on=on) is None
        ),
        None,
    )


def named(id: str, spec: Mapping[str, Any]) -> Basis | None:
    return next((one for one in spec["bases"] if one["id"] == id), None)


def why_not(basis: Basis | None, *, on: str) -> str | None:
    """Return why a basis holds no longer, or None: it does."""
    if basis is None:
        return "it is not in the profile: it was removed"
    until = basis.get("until", "")
    return f"it ended on {until}" if until and until < on else None
