"""One file encrypted in chunks: AES-256-GCM in the STREAM construction (docs/sealing.md).

    header := magic (8) | chunk size (4) | plaintext size (8) | SHA-256 of the plaintext (32)
    chunk  := ciphertext | tag (16)
    nonce  := prefix (7) | chunk number (4) | 1 for the last chunk, else 0 (1)

Key and prefix come by HKDF from the release key, with the plaintext digest as salt and the
path as context: a key meets only one plaintext, so sealing again gives the same bytes and
never a nonce twice. Every chunk has the header as associated data. Numbers are big-endian.
"""

import itertools
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from components.foundation.digests import BLAKE3, Digest
from components.foundation.errors import Refused, UserError
from components.foundation.pieces import Filler
from components.foundation.sealing.keys import derive
from components.foundation.sealing.parallel import ahead

CHUNK = 1 << 20
TAG = 16
MAX_SIZE = CHUNK << 32
_HEADER = struct.Struct(">8sIQ32s")
_NONCE = struct.Struct(">7sIB")
_MAGIC = b"falaj\x00\x00\x02"
_RESTORE = "restore the object or seal the model again"


@dataclass(frozen=True, slots=True)
class Header:
    """What a sealed file says of its content; `size` in bytes."""

    size: int
    digest: bytes

    def encode(self) -> bytes:
        return _HEADER.pack(_MAGIC, CHUNK, self.size, self.digest)

    @property
    def chunks(self) -> int:
        return max(1, -(-self.size // CHUNK))

    @property
    def sealed_size(self) -> int:
        return _HEADER.size + self.size + TAG * self.chunks

    def sizes(self) -> Iterator[int]:
        """Yield the plaintext size of each chunk."""
        for number in range(self.chunks):
            yield self.size_of(number)

    def size_of(self, number: int) -> int:
        return min(CHUNK, self.size - number * CHUNK)


class Cipher:
    """The chunks of one file under its own key."""

    def __init__(self, release_key: bytes, path: str, header: Header) -> None:
        info = b"falaj sealed file 2\x00" + path.encode()
        material = derive(release_key, salt=header.digest, info=info, length=39)
        self._gcm = AESGCM(material[:32])
        self._prefix = material[32:]
        self._path, self._shape, self._header = path, header, header.encode()

    def seal(self, number: int, plain: memoryview, into: memoryview) -> None:
        self._gcm.encrypt_into(self._nonce(number), plain, self._header, into)

    def open(self, number: int, sealed: memoryview | bytes, into: memoryview) -> None:
        """Decrypt a chunk; raises Refused if it is not the one that was sealed."""
        try:
            if len(sealed) != len(into) + TAG:
                raise InvalidTag
            self._gcm.decrypt_into(self._nonce(number), sealed, self._header, into)
        except InvalidTag:
            raise Refused(
                f"{self._path}: chunk {number + 1} of {self._shape.chunks} is not what was sealed; "
                f"{_RESTORE}",
                code="release-altered",
            ) from None

    def _nonce(self, number: int) -> bytes:
        return _NONCE.pack(self._prefix, number, number == self._shape.chunks - 1)


class Sealing:
    """A file as it is sealed, to read from once; knows the digest of what was read."""

    def __init__(self, source: Filler, *, header: Header, key: bytes, path: str) -> None:
        """Begin; raises UserError for a file that is larger than the format allows."""
        if header.size > MAX_SIZE:
            raise UserError(
                f"{path}: {header.size} bytes; a sealed file holds at most {MAX_SIZE}",
                code="file-too-large",
            )
        self._pieces = ahead(
            encrypt(source, header=header, key=key, path=path), count=header.chunks
        )
        self._left = memoryview(b"")
        self._digest = blake3()

    def __iter__(self) -> Iterator[memoryview]:
        """Yield what is left, piece by piece; each is valid until the next is asked for."""
        for piece in self._pieces:
            self._digest.update(piece)
            yield piece

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, nothing at the end."""
        if not self._left:
            self._left = next(iter(self), memoryview(b""))
        piece, self._left = self._left[:size], self._left[size:]
        return bytes(piece)

    def digest(self) -> Digest:
        return Digest(self._digest.hexdigest(), BLAKE3)


def encrypt(source: Filler, *, header: Header, key: bytes, path: str) -> Iterator[memoryview]:
    """Yield the sealed file piece by piece; each is valid until the next but one is asked for.

    Raises:
        UserError: the file has another size than it had.
    """
    cipher, plain = Cipher(key, path, header), memoryview(bytearray(CHUNK))
    yield memoryview(header.encode())
    for number, (size, sealed) in enumerate(zip(header.sizes(), _in_turn(), strict=False)):
        if fill(source, plain[:size]) < size:
            raise UserError(
                f"{path}: became shorter while it was sealed; seal it again", code="file-changed"
            )
        cipher.seal(number, plain[:size], sealed[: size + TAG])
        yield sealed[: size + TAG]


def decrypt(
    source: Filler, *, header: Header, key: bytes, path: str, sealed_as: Digest
) -> Iterator[memoryview]:
    """Yield the plaintext piece by piece, each authenticated before it is handed out.

    Whoever can open a release could forge chunks; so what was handed out holds only once the
    iteration has ended, when the sealed bytes had the digest that was signed.

    Raises:
        Refused: the source is not byte for byte what was sealed under this key, path, header.
    """
    cipher, digest = Cipher(key, path, header), blake3()
    plain = memoryview(bytearray(CHUNK))
    _check_header(source, header, path, digest.update)
    chunks = ahead(_chunks(source, header, digest.update), count=header.chunks)
    for number, (size, sealed) in enumerate(zip(header.sizes(), chunks, strict=True)):
        cipher.open(number, sealed, plain[:size])
        yield plain[:size]
    if fill(source, plain[:1]):
        raise Refused(f"{path}: goes on after its last chunk; {_RESTORE}", code="release-altered")
    check_digest(Digest(digest.hexdigest(), BLAKE3), sealed_as, path)


def _chunks(
    source: Filler, header: Header, digest: Callable[[memoryview], object]
) -> Iterator[memoryview]:
    """Yield a file's sealed chunks, digested; each is valid until the next but one is asked for."""
    for size, buffer in zip(header.sizes(), _in_turn(), strict=False):
        sealed = buffer[: fill(source, buffer[: size + TAG])]
        digest(sealed)
        yield sealed


def _in_turn() -> Iterator[memoryview]:
    """Yield two buffers for a sealed chunk in turn: one to fill while the other is used."""
    return itertools.cycle([memoryview(bytearray(CHUNK + TAG)) for _ in range(2)])


def decrypt_range(
    read: Callable[[int, int], bytes],
    *,
    header: Header,
    key: bytes,
    path: str,
    offset: int,
    length: int,
) -> Iterator[memoryview]:
    """Yield a part of the plaintext, for which only the chunks that hold it are read.

    Args:
        read: returns bytes of the sealed file, given where they begin and how many.
        header: as the statement has it.
        key: the release's.
        path: of the file.
        offset: where the part begins in the plaintext.
        length: how long it is; it ends with the file.

    Raises:
        Refused: a chunk is not what was sealed under this key, path, header.
    """
    cipher, plain = Cipher(key, path, header), memoryview(bytearray(CHUNK))
    end = min(offset + length, header.size)
    for number in range(offset // CHUNK, -(-end // CHUNK) if offset < end else 0):
        size, begin = header.size_of(number), number * CHUNK
        sealed = read(_HEADER.size + number * (CHUNK + TAG), size + TAG)
        cipher.open(number, sealed, plain[:size])
        yield plain[max(offset - begin, 0) : min(end - begin, size)]


def check_digest(got: Digest, want: Digest, path: str) -> None:
    """Raise Refused unless sealed bytes have the digest that was signed."""
    if got != want:
        raise Refused(
            f"{path}: sealed bytes have digest {got}, the statement covers {want}; {_RESTORE}",
            code="release-altered",
        )


def fill(source: Filler, buffer: memoryview) -> int:
    """Fill a buffer from a source that may give less than asked; return how far it went."""
    done = 0
    while done < len(buffer) and (size := source.readinto(buffer[done:])):
        done += size
    return done


def _check_header(
    source: Filler, header: Header, path: str, digest: Callable[[memoryview], object]
) -> None:
    head = memoryview(bytearray(_HEADER.size))
    if fill(source, head) < len(head) or head != header.encode():
        raise Refused(
            f"{path}: its header is not the one that the statement covers; {_RESTORE}",
            code="release-altered",
        )
    digest(head)
