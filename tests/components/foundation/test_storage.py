"""Objects on a real S3 server: conditional writes, errors that say what to do."""

import pytest

from components.foundation.errors import InfrastructureError, UserError
from components.foundation.storage import Address, Conflict, NotFound, ObjectStore, Settings


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
    assert store._obstore("falaj-runs") is store._obstore("falaj-runs")
    assert store._obstore("falaj-runs") is not store._obstore("falaj-raw")


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
    gone = ObjectStore(Settings("http://127.0.0.1:1", "key", "secret"))

    with pytest.raises(InfrastructureError, match="did not answer"):
        gone.get(place)
