import json
import pathlib
from collections.abc import Callable
from typing import Any

import pytest

from components.foundation.digests import Digest
from components.foundation.errors import Refused
from components.foundation.sealing import wrapped
from components.foundation.sealing.keys import KeyRing
from components.foundation.storage import Address, ObjectStore

CONTENT = Digest("0" * 64)


@pytest.fixture
def release(store: ObjectStore, keys: KeyRing, unique: str) -> Address:
    """A place where nothing lies but a release key, wrapped."""
    address = Address("falaj-models", f"{unique}/v")
    wrapped.get_or_create(address, CONTENT, store=store, keys=keys)
    return address


def change(release: Address, store: ObjectStore, by: Callable[[Any], object]) -> None:
    value = json.loads(store.get(wrapped.address(release)))
    by(value)
    store.put(wrapped.address(release), json.dumps(value).encode())


def others(count: int) -> list[dict[str, str]]:
    return [{"recipient": f"{n:016x}", "algorithm": "A", "key": ""} for n in range(count)]


def test_opens_beside_the_entries_of_others(
    release: Address, store: ObjectStore, keys: KeyRing
) -> None:
    before = wrapped.get(release, CONTENT, store=store, keys=keys)

    change(release, store, lambda value: value["keys"].extend(others(63)))

    assert wrapped.get(release, CONTENT, store=store, keys=keys) == before


def test_refuses_more_recipients_than_there_may_be(
    release: Address, store: ObjectStore, keys: KeyRing
) -> None:
    change(release, store, lambda value: value["keys"].extend(others(64)))

    with pytest.raises(Refused, match="there may be 64") as refused:
        wrapped.get(release, CONTENT, store=store, keys=keys)
    assert refused.value.code == "wrapped-keys-malformed"


def test_refuses_a_recipient_named_twice(
    release: Address, store: ObjectStore, keys: KeyRing
) -> None:
    change(release, store, lambda value: value["keys"].extend(value["keys"][:1]))

    with pytest.raises(Refused, match=f"more than once for {keys.recipients[0].id}"):
        wrapped.get(release, CONTENT, store=store, keys=keys)


def test_refuses_an_algorithm_other_than_the_recipients(
    release: Address, store: ObjectStore, keys: KeyRing
) -> None:
    change(release, store, lambda value: value["keys"][0].update(algorithm="none"))

    with pytest.raises(Refused, match="by 'none', expected 'A256GCM'"):
        wrapped.get(release, CONTENT, store=store, keys=keys)


@pytest.mark.parametrize(
    "by",
    [
        pytest.param(lambda value: value.update(format=3), id="another format"),
        pytest.param(lambda value: value["keys"][0].update(recipient="a b"), id="no name"),
        pytest.param(lambda value: value["keys"][0].update(recipient="a" * 201), id="long name"),
        pytest.param(lambda value: value["keys"][0].pop("algorithm"), id="no algorithm"),
    ],
)
def test_refuses_entries_that_are_none(
    release: Address, store: ObjectStore, keys: KeyRing, by: Callable[[Any], object]
) -> None:
    change(release, store, by)

    with pytest.raises(Refused, match="no wrapped keys of format 1 or 2"):
        wrapped.get(release, CONTENT, store=store, keys=keys)


def test_names_few_of_those_it_was_wrapped_for(
    release: Address, store: ObjectStore, tmp_path: pathlib.Path, keys: KeyRing
) -> None:
    change(release, store, lambda value: value["keys"].extend(others(63)))

    stranger = KeyRing.create(tmp_path / "stranger")

    with pytest.raises(Refused, match=r"and 61 more, our wrapping key is [0-9a-f]{16};"):
        wrapped.get(release, CONTENT, store=store, keys=stranger)
