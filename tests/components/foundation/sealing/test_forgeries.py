"""Every small change to what is stored is refused, by the name of what was changed."""

import base64
import contextlib
import itertools
import json
import pathlib
import random
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from components.foundation.errors import Refused, UserError
from components.foundation.sealing import envelope, openssf, release, stream
from components.foundation.sealing.keys import KeyRing
from components.foundation.sealing.release import Release
from components.foundation.sealing.statement import KIND, Statement
from components.foundation.storage import Address, NotFound
from tests.components.foundation.sealing.memory import Memory

HEAD, PIECE = 52, stream.CHUNK + stream.TAG
CHUNKS = 3
Bytes = Callable[[bytes], bytes]


@pytest.fixture
def sealed(folder: pathlib.Path, keys: KeyRing) -> tuple[Memory, Release]:
    store = Memory()
    made = release.seal(folder, model="delays", facts={"code": "abc"}, store=store, keys=keys)
    return store, made


def named(address: Address) -> str:
    """Return what a refusal has to name: the file, not where all files lie."""
    return address.key.split("/", 2)[2].removeprefix("files/")


def assert_refused(store: Memory, made: Release, address: Address, keys: KeyRing) -> None:
    """A changed object opens nothing, and the sentence names it and says what was expected."""
    with pytest.raises((Refused, NotFound)) as raised:
        verify_and_open(store, made, keys)
    text = str(raised.value)
    assert named(address) in text or address.key.endswith("statement.json"), (text, address)
    assert any(word in text for word in ("covers", "sealed", "signed", "key", "no such")), text


def verify_and_open(store: Memory, made: Release, keys: KeyRing) -> None:
    """Do what unsealing does, without a folder: 10,000 of them are too many to delete."""
    found = release.read(made.location, store=store, keys=keys)
    release._check_objects(found, store)
    release._signature_of(found, store, keys)
    key = release._key(found, store, keys)
    for file in found.statement.files:
        for _ in release._pieces(file, key=key, release=found, store=store):
            pass


def flip(at: int, bit: int = 0) -> Bytes:
    return lambda data: data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :]


def drop(at: int, size: int) -> Bytes:
    return lambda data: data[:at] + data[at + size :]


def duplicate(at: int, size: int) -> Bytes:
    return lambda data: data[: at + size] + data[at : at + size] + data[at + size :]


def swap(first: int, second: int, size: int) -> Bytes:
    def change(data: bytes) -> bytes:
        a, b = data[first : first + size], data[second : second + size]
        return data[:first] + b + data[first + size : second] + a + data[second + size :]

    return change


def structural(size: int) -> Iterator[tuple[str, Bytes]]:
    """Every place where the format of a sealed file begins or ends something."""
    starts = [HEAD + PIECE * number for number in range(CHUNKS)]
    tags = [*(start + stream.CHUNK for start in starts[:-1]), size - stream.TAG]
    edges = sorted({0, 8, 12, 20, HEAD, *starts, *tags, size})
    for at in edges:
        for near in {at - 1, at} & set(range(size)):
            yield f"flip {near}", flip(near)
        if at < size:
            yield f"truncate at {at}", lambda data, at=at: data[:at]  # type: ignore[misc]
            yield f"drop a byte at {at}", drop(at, 1)
        yield f"insert at {at}", lambda data, at=at: data[:at] + b"\0" + data[at:]  # type: ignore[misc]
    for first, second in itertools.pairwise(edges):
        yield f"drop {first} to {second}", drop(first, second - first)
        yield f"duplicate {first} to {second}", duplicate(first, second - first)
        yield f"zero {first} to {second}", _zero(first, second)
    yield "swap chunks", swap(starts[0], starts[1], PIECE)
    yield "swap tags", swap(tags[0], tags[1], stream.TAG)


def _zero(first: int, second: int) -> Bytes:
    return lambda data: data[:first] + bytes(second - first) + data[second:]


def test_refuses_a_change_at_every_place_of_the_format(
    sealed: tuple[Memory, Release], keys: KeyRing
) -> None:
    store, made = sealed
    verify_and_open(store, made, keys)
    address = made.location.address / "files/model.onnx"
    before, tried = store.objects[address], 0

    for what, change in structural(len(before)):
        store.objects[address] = change(before)
        assert store.objects[address] != before, what
        assert_refused(store, made, address, keys)
        tried += 1

    assert tried > 70


@pytest.mark.parametrize("many", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_refuses_a_change_at_any_place(
    sealed: tuple[Memory, Release], keys: KeyRing, many: int
) -> None:
    store, made = sealed
    before = dict(store.objects)
    chance = random.Random(many)  # noqa: S311 - places, not secrets
    addresses = sorted(before, key=str)

    for _ in range(many):
        address = chance.choice(addresses)
        data = before[address]
        change = _any(chance, len(data))
        store.objects = {**before, address: change(data)}
        if store.objects[address] != data and not _same_words(address, data, change(data)):
            assert_refused(store, made, address, keys)


def _any(chance: random.Random, size: int) -> Bytes:
    at, length = chance.randrange(size), chance.randrange(1, 64)
    other = chance.randrange(size)
    return chance.choice(
        [
            flip(at, chance.randrange(8)),
            drop(at, length),
            duplicate(at, length),
            swap(min(at, other), max(at, other), 1),
            lambda data: data[:at],
            lambda data: data + chance.randbytes(length),
        ]
    )


def _same_words(address: Address, before: bytes, after: bytes) -> bool:
    """Say whether an envelope says the same in other words: spaces, hints, bits that pad."""
    if not address.key.endswith(("statement.json", "keys.json")):
        return False
    try:
        return _meaning(json.loads(before)) == _meaning(json.loads(after))
    except ValueError:
        return False


def _meaning(value: object) -> object:
    """Reduce a document to what is read of it."""
    match value:
        case dict():
            return {k: _meaning(v) for k, v in value.items() if k in _READ}
        case list():
            return [_meaning(item) for item in value]
        case str():
            with contextlib.suppress(ValueError):
                return base64.b64decode(value, validate=True)
    return value


_READ = {"payload", "payloadType", "signatures", "sig"} | {
    *("format", "algorithm", "keys", "recipient", "nonce", "key"),
}


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Change a JSON document as an attacker with a text editor might."""
    words = [b"1e999", b"-1", b"NaN", b"null", b"[]", b"{}", b'"\\ud800"', b"9" * 5000, b"[" * 2000]
    changed = data
    while changed == data:
        for _ in range(chance.randrange(1, 4)):
            at, size = chance.randrange(len(data)), chance.randrange(30)
            new = chance.choice([*words, chance.randbytes(size)])
            changed = changed[:at] + new + changed[at + size :]
    return changed


Reading = Callable[[Memory, Release, KeyRing, bytes], object]


def payload_of(envelope: bytes) -> bytes:
    return base64.b64decode(json.loads(envelope)["payload"])


def as_payload(store: Memory, made: Release, keys: KeyRing, data: bytes) -> object:
    """Read a statement that was signed as it is."""
    return Statement.decode(data, where="here")


def as_object(name: str) -> Reading:
    """Read a release whose object of that name was replaced."""

    def read(store: Memory, made: Release, keys: KeyRing, data: bytes) -> object:
        changed = Memory({**store.objects, made.location.address / name: data})
        found = release.read(made.location, store=changed, keys=keys)
        return found.statement, release._key(found, changed, keys)

    return read


def as_resources(store: Memory, made: Release, keys: KeyRing, data: bytes) -> object:
    """Read an OpenSSF statement that our signer signed as it is."""
    bundle = json.loads(store.objects[made.location.address / "model.sig"])
    signed = json.loads(envelope.sign(data, kind=KIND, keys=keys))
    whole = json.dumps({**bundle, "dsseEnvelope": signed}).encode()
    return openssf.signed(whole, keys=keys, where="here")


def as_bundle(store: Memory, made: Release, keys: KeyRing, data: bytes) -> object:
    return openssf.signed(data, keys=keys, where="here")


def documents(store: Memory, made: Release) -> dict[str, tuple[bytes, Reading]]:
    """Return every document that is parsed, and how."""
    at = made.location.address
    statement, keys, bundle = (
        store.objects[at / name] for name in ("statement.json", "keys.json", "model.sig")
    )
    enveloped = json.dumps(json.loads(bundle)["dsseEnvelope"]).encode()
    return {
        "statement": (payload_of(statement), as_payload),
        "envelope": (statement, as_object("statement.json")),
        "keys": (keys, as_object("keys.json")),
        "resources": (payload_of(enveloped), as_resources),
        "bundle": (bundle, as_bundle),
    }


@pytest.mark.parametrize("name", ["statement", "envelope", "keys", "resources", "bundle"])
def test_of_a_thousand_mutated_documents_none_does_more_than_refuse(
    sealed: tuple[Memory, Release], keys: KeyRing, name: str
) -> None:
    store, made = sealed
    data, read = documents(store, made)[name]
    whole, refused = read(store, made, keys, data), 0
    chance = random.Random(name)  # noqa: S311 - words, not secrets
    tracemalloc.start()

    for _ in range(1000):
        given = mutated(data, chance)
        try:
            got = read(store, made, keys, given)
        except (Refused, UserError):
            refused += 1
        else:  # it says the same, or is of the kind that our signer may sign
            assert got == whole or name == "resources" or _is(got, given)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refused > 700
    assert peak < 4 * envelope.MAX_BYTES


def _is(got: object, given: bytes) -> bool:
    return isinstance(got, Statement) and got.encode() == given
