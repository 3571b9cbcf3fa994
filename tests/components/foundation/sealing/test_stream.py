import hashlib
import io
import tracemalloc
from collections.abc import Callable

import pytest
from blake3 import blake3

from components.foundation.digests import BLAKE3, Digest
from components.foundation.errors import Refused, UserError
from components.foundation.sealing import parallel, stream
from components.foundation.sealing.stream import CHUNK, MAX_SIZE, TAG, Header, Sealing

KEY = bytes(range(32))
HEAD = 52
PIECE = CHUNK + TAG


def header(data: bytes) -> Header:
    return Header(len(data), hashlib.sha256(data).digest())


def seal(data: bytes, *, path: str = "a", key: bytes = KEY) -> bytes:
    pieces = stream.encrypt(io.BytesIO(data), header=header(data), key=key, path=path)
    return b"".join(bytes(piece) for piece in pieces)


def unseal(
    sealed: bytes,
    of: bytes,
    *,
    path: str = "a",
    key: bytes = KEY,
    signed: bytes | None = None,
) -> bytes:
    digest = Digest(blake3(seal(of) if signed is None else signed).hexdigest(), BLAKE3)
    pieces = stream.decrypt(
        io.BytesIO(sealed), header=header(of), key=key, path=path, sealed_as=digest
    )
    return b"".join(bytes(piece) for piece in pieces)


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 5])
def test_what_is_sealed_opens_and_has_the_size_that_was_said(size: int) -> None:
    data = bytes(i % 251 for i in range(1000)) * (size // 1000 + 1)
    data = data[:size]

    sealed = seal(data)

    assert len(sealed) == header(data).sealed_size
    assert unseal(sealed, data) == data


@pytest.mark.parametrize("cores", [1, 2])
def test_many_chunks_are_the_same_bytes_on_one_core_and_on_two(
    cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "cores", lambda: cores)
    data = b"".join(bytes([number]) * CHUNK for number in range(12)) + b"rest"

    sealing = Sealing(io.BytesIO(data), header=header(data), key=KEY, path="a")
    sealed = b"".join(map(bytes, sealing))

    assert sealed == seal(data)
    assert sealing.digest() == Digest(blake3(sealed).hexdigest(), BLAKE3)
    assert unseal(sealed, data) == data


@pytest.mark.parametrize("cores", [1, 2])
def test_a_changed_chunk_among_many_is_named_and_nothing_of_it_handed_out(
    cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "cores", lambda: cores)
    data = bytes(12 * CHUNK)
    changed = flip(HEAD + 9 * PIECE + 5)(sealed := seal(data))
    signed = Digest(blake3(sealed).hexdigest(), BLAKE3)
    pieces = stream.decrypt(
        io.BytesIO(changed), header=header(data), key=KEY, path="a", sealed_as=signed
    )
    got = list[bytes]()

    with pytest.raises(Refused, match="a: chunk 10 of 12"):
        got.extend(bytes(piece) for piece in pieces)

    assert got == [bytes(CHUNK)] * 9


def test_the_format_is_the_one_that_older_releases_have() -> None:
    sealed = seal(b"falaj" * 300_000, path="model.onnx")

    assert hashlib.sha256(sealed).hexdigest() == (
        "12259a15d069e9d896422764e628d6dc4b27befbe371cc979f1a17deb4d56c27"
    )


def swap_chunks(s: bytes) -> bytes:
    first, second = s[HEAD : HEAD + PIECE], s[HEAD + PIECE : HEAD + 2 * PIECE]
    return s[:HEAD] + second + first + s[HEAD + 2 * PIECE :]


def flip(at: int) -> Callable[[bytes], bytes]:
    def change(s: bytes) -> bytes:
        i = at % len(s)
        return s[:i] + bytes([s[i] ^ 1]) + s[i + 1 :]

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param(flip(0), "header", id="magic"),
        pytest.param(flip(11), "header", id="chunk size"),
        pytest.param(flip(19), "header", id="size"),
        pytest.param(flip(HEAD - 1), "header", id="digest"),
        pytest.param(flip(HEAD), "chunk 1 of 3", id="first byte"),
        pytest.param(flip(HEAD + PIECE - 1), "chunk 1 of 3", id="first tag"),
        pytest.param(flip(HEAD + PIECE), "chunk 2 of 3", id="second chunk"),
        pytest.param(flip(-1), "chunk 3 of 3", id="last byte"),
        pytest.param(swap_chunks, "chunk 1 of 3", id="chunks swapped"),
        pytest.param(lambda s: s[:-1], "chunk 3 of 3", id="last byte cut"),
        pytest.param(lambda s: s[: HEAD + 2 * PIECE], "chunk 3 of 3", id="last chunk cut"),
        pytest.param(lambda s: s[: HEAD + PIECE], "chunk 2 of 3", id="two chunks cut"),
        pytest.param(lambda s: s[:HEAD] + s[HEAD + PIECE :], "chunk 1 of 3", id="first cut"),
        pytest.param(lambda s: s + s[-1:], "goes on", id="extended"),
        pytest.param(lambda s: s[:10], "header", id="header cut"),
        pytest.param(lambda s: b"", "header", id="empty"),
    ],
)
def test_refuses_what_was_changed(change: Callable[[bytes], bytes], says: str) -> None:
    data = b"x" * (2 * CHUNK + 100)

    with pytest.raises(Refused, match=says):
        unseal(change(seal(data)), data)


def test_refuses_another_key_and_another_path() -> None:
    with pytest.raises(Refused, match="chunk 1 of 1"):
        unseal(seal(b"data"), b"data", key=bytes(32))
    with pytest.raises(Refused, match="chunk 1 of 1"):
        unseal(seal(b"data", path="b"), b"data", path="a")


def test_the_last_chunk_of_a_whole_file_does_not_end_a_longer_one() -> None:
    data = b"x" * (CHUNK + 1)
    short = seal(data[:CHUNK])

    with pytest.raises(Refused, match="header"):
        unseal(short, data)


def test_a_key_never_meets_two_plaintexts() -> None:
    zeros, ones = bytes(100), b"\x01" * 100

    keystreams = {
        bytes(a ^ b for a, b in zip(seal(data)[HEAD:], data, strict=False))
        for data in (zeros, ones)
    }

    assert len(keystreams) == 2


def test_refuses_a_file_that_became_shorter() -> None:
    pieces = stream.encrypt(io.BytesIO(b"ab"), header=header(b"abc"), key=KEY, path="a")

    with pytest.raises(UserError, match="became shorter"):
        list(pieces)


def test_chunks_that_a_key_holder_forged_do_not_have_the_signed_digest() -> None:
    forged = b"".join(
        bytes(piece)
        for piece in stream.encrypt(io.BytesIO(b"evil"), header=header(b"good"), key=KEY, path="a")
    )

    with pytest.raises(Refused, match="a: sealed bytes have digest blake3:"):
        unseal(forged, b"good")


def test_refuses_a_file_that_is_larger_than_the_format_allows() -> None:
    with pytest.raises(UserError, match="a sealed file holds at most 4503599627370496"):
        Sealing(io.BytesIO(), header=Header(MAX_SIZE + 1, bytes(32)), key=KEY, path="a")


class Stored:
    """A sealed file that notes what of it was read."""

    def __init__(self, sealed: bytes) -> None:
        self.sealed, self.read = sealed, list[tuple[int, int]]()

    def __call__(self, start: int, size: int) -> bytes:
        self.read.append((start, size))
        return self.sealed[start : start + size]


@pytest.mark.parametrize(
    ("offset", "length", "chunks"),
    [
        (0, 1, 1),
        (CHUNK - 1, 1, 1),
        (CHUNK - 1, 2, 2),
        (CHUNK, CHUNK, 1),
        (2 * CHUNK + 90, 1000, 1),
        (5, 10 * CHUNK, 3),
        (2 * CHUNK + 100, 5, 0),
        (9 * CHUNK, 5, 0),
        (7, 0, 0),
    ],
)
def test_a_part_is_read_from_the_chunks_that_hold_it(offset: int, length: int, chunks: int) -> None:
    data = bytes(range(256)) * (2 * CHUNK // 256) + bytes(100)
    stored = Stored(seal(data))

    part = stream.decrypt_range(
        stored, header=header(data), key=KEY, path="a", offset=offset, length=length
    )

    assert b"".join(map(bytes, part)) == data[offset : offset + length]
    assert len(stored.read) == chunks
    assert all(size <= PIECE for _, size in stored.read)


def test_a_part_of_a_changed_chunk_is_refused_and_of_another_is_not() -> None:
    data = bytes(3 * CHUNK)
    stored = Stored(flip(HEAD + PIECE + 5)(seal(data)))

    def part(offset: int) -> list[bytes]:
        found = stream.decrypt_range(
            stored, header=header(data), key=KEY, path="a", offset=offset, length=1
        )
        return [bytes(piece) for piece in found]

    assert part(0) == part(2 * CHUNK) == [bytes(1)]
    with pytest.raises(Refused, match="a: chunk 2 of 3"):
        part(CHUNK)


class Zeros:
    def readinto(self, buffer: memoryview, /) -> int:
        buffer[:] = bytes(len(buffer))
        return len(buffer)


def test_memory_is_bounded_however_large_the_file() -> None:
    tracemalloc.start()
    for _ in stream.encrypt(Zeros(), header=Header(64 * CHUNK, bytes(32)), key=KEY, path="a"):
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 6 * CHUNK
