"""Buckets have one name here and another on the store."""

import pytest

from components.foundation.buckets.names import BUCKETS, Names
from components.foundation.errors import UserError


@pytest.mark.parametrize("text", ["s3://falaj", "s3://acme-ml"])
def test_names_read_back_as_they_were_written(text: str) -> None:
    assert str(Names.parse(text)) == text


def test_where_nothing_is_said_names_are_the_same() -> None:
    names = Names.parse("")

    assert [names.on_store(bucket) for bucket in BUCKETS] == list(BUCKETS)


def test_every_bucket_of_ours_is_called_as_the_site_says() -> None:
    names = Names.parse("s3://acme-ml")

    assert names.on_store("falaj-evidence") == "acme-ml-evidence"
    assert len({names.on_store(bucket) for bucket in BUCKETS}) == 7


@pytest.mark.parametrize("bucket", ["partner-drop", "falaj-raw-2", "falaj"])
def test_a_bucket_that_is_not_ours_keeps_its_name(bucket: str) -> None:
    assert Names.parse("s3://acme-ml").on_store(bucket) == bucket


def test_a_thing_has_one_name_in_references() -> None:
    with pytest.raises(UserError, match=r"is called 'falaj-raw' in references.*write 'falaj-raw'"):
        Names.parse("s3://acme-ml").on_store("acme-ml-raw")


@pytest.mark.parametrize(
    "text", ["acme", "s3://", "s3://Acme", "s3://acme/", "s3://acme-", f"s3://{'a' * 53}"]
)
def test_refuses_what_no_bucket_can_start_with(text: str) -> None:
    with pytest.raises(UserError, match="such as s3://acme-ml"):
        Names.parse(text)


def test_the_longest_start_leaves_room_for_every_role() -> None:
    names = Names.parse(f"s3://{'a' * 52}")

    assert max(len(names.on_store(bucket)) for bucket in BUCKETS) == 63
