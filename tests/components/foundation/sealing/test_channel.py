import datetime
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


@pytest.fixture
def moved(seal: Seal, store: ObjectStore, keys: KeyRing, unique: str) -> Release:
    """A release that the channel left again."""
    first = seal(model=unique)
    channel.move(unique, first.uri, store=store, keys=keys, reason="first")
    return first


def test_an_old_state_that_is_put_back_is_refused(
    seal: Seal, store: ObjectStore, keys: KeyRing, unique: str, moved: Release
) -> None:
    here = Address("falaj-models", f"{unique}/channel/champion")
    old = store.get(here)
    channel.move(unique, seal(model=unique, code="b").uri, store=store, keys=keys, reason="better")

    store.put(here, old)

    with pytest.raises(Refused, match="is at move 1, the evidence holds move 2"):
        channel.current(unique, store=store, keys=keys)
    with pytest.raises(Refused, match="an old state was put back"):
        channel.move(unique, moved.uri, store=store, keys=keys, reason="and on")


def test_a_channel_that_was_removed_is_not_taken_for_new(
    store: ObjectStore, keys: KeyRing, unique: str, moved: Release
) -> None:
    store.delete(Address("falaj-models", f"{unique}/channel/champion"))

    with pytest.raises(Refused, match="the evidence holds move 1"):
        channel.move(unique, moved.uri, store=store, keys=keys, reason="anew")


def test_a_second_history_under_the_same_number_is_refused(
    seal: Seal, store: ObjectStore, keys: KeyRing, unique: str
) -> None:
    here = Address("falaj-models", f"{unique}/channel/champion")
    channel.move(unique, seal(model=unique).uri, store=store, keys=keys, reason="first")
    note = Address("falaj-evidence", f"channels/{unique}/champion/00000001.json")
    store.put(note, store.get(note).replace(b"first", b"other"))

    with pytest.raises(Refused, match="two histories were signed"):
        channel.current(unique, store=store, keys=keys)
    assert store.exists(here)


def test_a_mover_killed_before_its_note_is_believed_and_the_next_one_notes(
    store: ObjectStore, keys: KeyRing, unique: str, moved: Release
) -> None:
    note = Address("falaj-evidence", f"channels/{unique}/champion/00000001.json")
    store.delete(note)

    assert channel.current(unique, store=store, keys=keys) is not None
    channel.move(unique, moved.uri, store=store, keys=keys, reason="again")

    assert store.exists(note)


def test_a_reader_may_demand_a_young_signature_and_renewing_gives_one(
    store: ObjectStore, keys: KeyRing, unique: str, moved: Release
) -> None:
    hour = datetime.timedelta(hours=1)
    before = channel.current(unique, store=store, keys=keys, max_age=hour)
    with pytest.raises(Refused, match="was signed 0 days ago, at most 0 are allowed; renew it"):
        channel.current(unique, store=store, keys=keys, max_age=datetime.timedelta())

    renewed = channel.renew(unique, store=store, keys=keys)

    assert before is not None
    assert renewed is not None
    assert renewed.signed > before.signed
    assert renewed.history == before.history
    assert channel.current(unique, store=store, keys=keys) == renewed


def test_what_was_never_set_is_not_renewed(store: ObjectStore, keys: KeyRing, unique: str) -> None:
    assert channel.renew(unique, store=store, keys=keys) is None
