import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from components.foundation.errors import Refused, UserError
from components.foundation.sealing import channel
from components.foundation.sealing.keys import KeyRing
from components.foundation.sealing.release import Release
from components.foundation.storage import Address, Conflict, NotFound, ObjectStore

Seal = Callable[..., Release]


def test_a_channel_moves_and_remembers(
    seal: Seal, store: ObjectStore, keys: KeyRing, unique: str
) -> None:
    first, second = seal(model=unique), seal(model=unique, code="b")
    assert channel.current(unique, store=store, keys=keys) is None

    channel.move(unique, first.uri, store=store, keys=keys, reason="first")
    moved = channel.move(unique, second.uri, store=store, keys=keys, reason="better")

    assert moved == channel.current(unique, store=store, keys=keys)
    assert (moved.uri, moved.version, moved.serial) == (second.uri, second.version, 2)
    assert moved.previous == first.uri
    assert [step.reason for step in moved.history] == ["better", "first"]
    assert str(moved) == f"s3://falaj-models/{unique}/channel/champion@2"


def test_channels_of_a_model_move_apart(
    seal: Seal, store: ObjectStore, keys: KeyRing, unique: str
) -> None:
    sealed = seal(model=unique)

    channel.move(unique, sealed.uri, store=store, keys=keys, channel="candidate", reason="new")

    assert channel.current(unique, store=store, keys=keys) is None
    assert channel.current(unique, store=store, keys=keys, channel="candidate") is not None


def test_moving_where_it_points_changes_nothing(
    seal: Seal, store: ObjectStore, keys: KeyRing, unique: str
) -> None:
    sealed = seal(model=unique)
    first = channel.move(unique, sealed.uri, store=store, keys=keys, reason="once")

    assert channel.move(unique, sealed.uri, store=store, keys=keys, reason="twice") == first


def test_serials_grow_when_it_goes_back(
    seal: Seal, store: ObjectStore, keys: KeyRing, unique: str
) -> None:
    uris = [seal(model=unique).uri, seal(model=unique, code="b").uri]

    serials = [
        channel.move(unique, uri, store=store, keys=keys, reason="to and fro").serial
        for uri in uris * 2
    ]

    assert serials == [1, 2, 3, 4]


def test_of_racing_movers_every_loser_is_told(
    seal: Seal, store: ObjectStore, keys: KeyRing, unique: str
) -> None:
    uris = [seal(model=unique, number=number).uri for number in range(4)]
    channel.move(unique, seal(model=unique).uri, store=store, keys=keys, reason="first")
    start = threading.Barrier(4)

    def move(uri: str) -> bool:
        start.wait()
        try:
            channel.move(unique, uri, store=store, keys=keys, reason="race")
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        winners = sum(pool.map(move, uris))

    pointer = channel.current(unique, store=store, keys=keys)
    assert pointer is not None
    assert winners + 1 == pointer.serial == len(pointer.history) >= 2


def test_a_release_that_is_none_cannot_be_pointed_at(
    seal: Seal, store: ObjectStore, keys: KeyRing, unique: str
) -> None:
    other = seal(model=f"{unique}-b")

    with pytest.raises(UserError, match=f"is a release of {unique}-b"):
        channel.move(unique, other.uri, store=store, keys=keys, reason="mistake")
    with pytest.raises(NotFound, match="nothing signed lies there"):
        channel.move(
            unique,
            f"sealed+s3://falaj-models/{unique}/000000000000",
            store=store,
            keys=keys,
            reason="mistake",
        )


def test_refuses_a_pointer_that_was_changed_or_copied(
    seal: Seal, store: ObjectStore, keys: KeyRing, unique: str
) -> None:
    sealed = seal(model=unique)
    channel.move(unique, sealed.uri, store=store, keys=keys, reason="first")
    here = Address("falaj-models", f"{unique}/channel/champion")
    signed = store.get(here)

    store.put(Address("falaj-models", f"{unique}/channel/candidate"), signed)
    with pytest.raises(Refused, match=f"was signed for {unique}/champion"):
        channel.current(unique, store=store, keys=keys, channel="candidate")

    store.put(here, signed.replace(b'"payload":"ey', b'"payload":"eg'))
    with pytest.raises(Refused, match="not signed by our signer"):
        channel.current(unique, store=store, keys=keys)

    store.put(here, store.get(sealed.location.address / "statement.json"))
    with pytest.raises(Refused, match="not the object it claims"):
        channel.current(unique, store=store, keys=keys)


def test_resolve_takes_what_is_given_else_where_the_channel_points(
    seal: Seal, store: ObjectStore, keys: KeyRing, unique: str
) -> None:
    sealed = seal(model=unique)

    assert channel.resolve(unique, sealed.uri, store=store, keys=keys) == sealed.uri
    with pytest.raises(UserError, match="points nowhere yet"):
        channel.resolve(unique, "", store=store, keys=keys)
    channel.move(unique, sealed.uri, store=store, keys=keys, reason="first")
    assert channel.resolve(unique, "", store=store, keys=keys) == sealed.uri
