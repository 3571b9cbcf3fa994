"""Breakglass is over at its end, and when nobody can say when that is."""

import datetime

import pytest

from components.governance.breakglass import ending

NOON = datetime.datetime(2026, 11, 29, 12, 0, tzinfo=datetime.UTC)


def binding(expires: str | None) -> dict[str, object]:
    annotations = {} if expires is None else {"annotations": {ending.EXPIRES: expires}}
    return {"metadata": {"name": ending.NAME, **annotations}}


@pytest.mark.parametrize(
    ("expires", "expected"),
    [
        ("2026-11-29T12:00:01Z", False),
        ("2026-11-29T12:00:00Z", True),
        ("2026-11-29T11:59:59Z", True),
        ("2026-11-29T15:59:59+04:00", True),
        ("2026-11-29T16:00:01+04:00", False),
    ],
)
def test_it_is_over_at_its_end(expires: str, expected: bool) -> None:
    assert ending.over(binding(expires), now=NOON) is expected


@pytest.mark.parametrize("expires", [None, "", "tomorrow", "2026-11-29T23:00:00"])
def test_it_is_over_when_its_end_cannot_be_read(expires: str | None) -> None:
    assert ending.over(binding(expires), now=NOON)


def test_it_is_over_when_its_annotations_are_null() -> None:
    assert ending.over({"metadata": {"annotations": None}}, now=NOON)
