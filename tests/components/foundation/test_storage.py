"""Objects on a real S3 server: conditional writes, errors that say what to do."""

import pathlib

import pytest

from components.foundation.errors import InfrastructureError, Refused, UserError
from components.foundation.storage import Address, Conflict, NotFound, ObjectStore, Settings
from tests.components.foundation.streams import Stream


@pytest.fixture
def place(unique: str) -> Address:
    return Address("falaj-runs", unique)


def test_an_address_reads_back_as_it_was_written() -> None:
    address = Address("falaj-raw", "flights/part 1.csv")

    assert Address.parse(str(address)) == address


@pytest.mark.parametrize("text", ["falaj-raw/flights", "s3:///flights", "s3://raw/x?endpoint=e"])
def test_refuses_an_address_that_is_none_or_has_a_query(text: str) -> None:
    with pytest.raises(UserError, match=r"expected s3://bucket/key"):
        Address.parse(text)


def test_only_the_first_of_two_creates_wins(store: ObjectStore, place: Address) -> None:
    store.create(place, b"first")

    with pytest.raises(Conflict):
        store.create(place, b"second")

    assert store.get(place) == b"first"


def test_swaps_only_what_has_not_changed_since(store: ObjectStore, place: Address) -> None:
    old = store.create(place, b"1")
    new = store.swap(place, b"2", etag=old)

    with pytest.raises(Conflict):
        store.swap(place, b"3", etag=old)

    assert store.get_with_etag(place) == (b"2", new)


def test_keeps_one_conditional_client_a_bucket(store: ObjectStore) -> None:
    runs = Address("falaj-runs", "x")

    assert store._bucket(runs) is store._bucket(runs / "x")
    assert store._bucket(runs) is not store._bucket(Address("falaj-raw", "x"))


def test_says_of_a_missing_object_that_it_is_missing(store: ObjectStore, place: Address) -> None:
    for read in (store.get, store.get_with_etag):
        with pytest.raises(NotFound, match=str(place)):
            read(place)

    assert not store.exists(place)


def test_refused_credentials_are_the_users_to_mend_and_stay_secret(
    s3: Settings, place: Address
) -> None:
    wrong = ObjectStore(Settings(s3.endpoint, s3.access_key, "a-wrong-secret"))

    with pytest.raises(UserError, match="AWS_SECRET_ACCESS_KEY") as refused:
        wrong.put(place, b"x")

    assert "a-wrong-secret" not in str(refused.value)


def test_a_store_that_does_not_answer_may_answer_later(place: Address) -> None:
    gone = ObjectStore(Settings("http://127.0.0.1:1", "key", "secret", seconds=0.5))

    with pytest.raises(InfrastructureError, match="did not answer"):
        gone.get(place)


@pytest.mark.parametrize("size", [0, 1000, 20 * 2**20], ids=["empty", "small", "in parts"])
def test_a_stream_arrives_whole(
    store: ObjectStore, place: Address, size: int, tmp_path: pathlib.Path
) -> None:
    store.put_stream(place, Stream(size), size=size)
    store.get_file(place, tmp_path / "file")

    assert (tmp_path / "file").read_bytes() == b"x" * size
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("size", [1000, 20 * 2**20], ids=["small", "in parts"])
def test_a_stream_that_ends_early_leaves_nothing(
    store: ObjectStore, place: Address, size: int
) -> None:
    with pytest.raises(OSError, match="1 bytes early"):
        store.put_stream(place, Stream(size - 1), size=size)

    assert not store.exists(place)


def test_reads_in_any_sizes(store: ObjectStore, place: Address) -> None:
    data = bytes(range(256)) * 10_000
    store.put(place, data)

    with store.reading(place) as source:
        pieces = list(iter(lambda: source.read(700_001), b""))

    assert b"".join(pieces) == data
    assert max(map(len, pieces)) <= 700_001


def test_refuses_an_object_that_is_larger_than_it_may_be(
    store: ObjectStore, place: Address
) -> None:
    store.put(place, b"12345")

    assert store.get_bounded(place, limit=5) == b"12345"
    with pytest.raises(Refused, match="more than 4 bytes"):
        store.get_bounded(place, limit=4)


def test_lists_what_begins_with_a_prefix_that_ends_within_a_name(
    store: ObjectStore, place: Address
) -> None:
    for name in ("a-1", "a-2/x", "b"):
        store.put(place / name, b"12")

    found = list(store.list(place / "a"))

    assert [info.address for info in found] == [place / "a-1", place / "a-2/x"]
    assert {info.size for info in found} == {2}
    assert all(len(info.etag) == 32 and info.modified_us > 0 for info in found)


def test_a_listing_with_refused_credentials_is_the_users_to_mend(
    s3: Settings, place: Address
) -> None:
    stranger = ObjectStore(Settings(s3.endpoint, "nobody", "secret"))

    with pytest.raises(UserError, match="AWS_ACCESS_KEY_ID"):
        list(stranger.list(place))


def test_deleting_twice_is_no_error(store: ObjectStore, place: Address) -> None:
    store.put(place, b"x")

    store.delete(place)
    store.delete(place)

    assert not store.exists(place)


@pytest.mark.parametrize("text", ["soon", "-1", "0.0", "nan", "86400"])
def test_refuses_a_patience_that_is_no_number_of_seconds(text: str) -> None:
    named = {**Settings("http://s3", "key", "secret").environment(), "FALAJ_STORE_SECONDS": text}

    with pytest.raises(UserError, match="expected a number of seconds"):
        Settings.from_environment(named)


def test_settings_read_back_from_the_environment_they_make() -> None:
    settings = Settings("http://s3", "key", "secret", "me-central-1", seconds=7.5)

    assert Settings.from_environment(settings.environment()) == settings
