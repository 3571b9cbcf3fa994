"""One file encrypted in chunks: AES-256-GCM in the STREAM construction.

    header := magic (8) | chunk size (4) | plaintext size (8) | SHA-256 of the plaintext (32)
    chunk  := ciphertext | tag (16)
    nonce  := prefix (7) | chunk number (4) | 1 for the last chunk, else 0 (1)

Key and prefix come by HKDF from the release key, with the plaintext digest as salt and the
path as context: a key meets only one plaintext, so sealing again gives the same bytes and
never a nonce twice. Every chunk has the header as associated data. Numbers are big-endian.
"""

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from components.foundation.digests import Digest
from components.foundation.errors import Refused, UserError
from components.foundation.pieces import Reader
from components.foundation.sealing.keys import derive

CHUNK = 1 << 20
TAG = 16
_HEADER = struct.Struct(">8sIQ32s")
_NONCE = struct.Struct(">7sIB")
_MAGIC = b"falaj\x00\x00\x01"
_MAX_CHUNKS = 1 << 32


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


class _Cipher:
    """The chunks of one file under its own key."""

    def __init__(self, release_key: bytes, path: str, header: Header) -> None:
        info = b"falaj sealed file 1\x00" + path.encode()
        material = derive(release_key, salt=header.digest, info=info, length=39)
        self._gcm = AESGCM(material[:32])
        self._prefix = material[32:]
        self._header = header.encode()
        self._last = header.chunks - 1

    def seal(self, number: int, plain: memoryview, into: memoryview) -> None:
        self._gcm.encrypt_into(self._nonce(number), plain, self._header, into)

    def open(self, number: int, sealed: memoryview, into: memoryview) -> None:
        self._gcm.decrypt_into(self._nonce(number), sealed, self._header, into)

    def _nonce(self, number: int) -> bytes:
        return _NONCE.pack(self._prefix, number, number == self._last)


def encrypt(source: Reader, *, header: Header, key: bytes, path: str) -> Iterator[memoryview]:
    """Yield the sealed file piece by piece; each piece is valid until the next is asked for.

    Raises:
        UserError: the file is larger than the format allows, or has another size than it had.
    """
    if header.chunks > _MAX_CHUNKS:
        raise UserError(
            f"{path}: {header.size} bytes; a sealed file holds at most 4 PiB", code="file-too-large"
        )
    cipher = _Cipher(key, path, header)
    plain, sealed = memoryview(bytearray(CHUNK)), memoryview(bytearray(CHUNK + TAG))
    yield memoryview(header.encode())
    for number, size in enumerate(_sizes(header)):
        if not _fill(source, plain[:size]):
            raise UserError(
                f"{path}: became shorter while it was sealed; seal it again", code="file-changed"
            )
        cipher.seal(number, plain[:size], sealed[: size + TAG])
        yield sealed[: size + TAG]


def decrypt(source: Reader, *, header: Header, key: bytes, path: str) -> Iterator[memoryview]:
    """Yield the plaintext piece by piece, each authenticated before it is handed out.

    Raises:
        Refused: the source is not byte for byte what was sealed under this key, path, header.
    """
    cipher = _Cipher(key, path, header)
    head = memoryview(bytearray(_HEADER.size))
    if not _fill(source, head) or head != header.encode():
        raise Refused(
            f"{path}: its header is not the one that the statement covers; {_RESTORE}",
            code="release-altered",
        )
    plain, sealed = memoryview(bytearray(CHUNK)), memoryview(bytearray(CHUNK + TAG))
    for number, size in enumerate(_sizes(header)):
        whole = _fill(source, sealed[: size + TAG])
        try:
            if not whole:
                raise InvalidTag
            cipher.open(number, sealed[: size + TAG], plain[:size])
        except InvalidTag:
            raise Refused(
                f"{path}: chunk {number + 1} of {header.chunks} is not what was sealed; {_RESTORE}",
                code="release-altered",
            ) from None
        yield plain[:size]
    if source.read(1):
        raise Refused(f"{path}: goes on after its last chunk; {_RESTORE}", code="release-altered")


_RESTORE = "restore the object or seal the model again"


class Pieces:
    """An iterator of byte pieces as something to read from, digested on the way."""

    def __init__(self, pieces: Iterator[memoryview]) -> None:
        self._pieces = pieces
        self._left = memoryview(b"")
        self._digest = hashlib.sha256()

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, nothing at the end."""
        if not self._left:
            self._left = next(self._pieces, memoryview(b""))
            self._digest.update(self._left)
        piece, self._left = self._left[:size], self._left[size:]
        return bytes(piece)

    def digest(self) -> Digest:
        """Digest what was read so far."""
        return Digest(self._digest.hexdigest())


def _sizes(header: Header) -> Iterator[int]:
    for number in range(header.chunks):
        yield min(CHUNK, header.size - number * CHUNK)


def _fill(source: Reader, buffer: memoryview) -> bool:
    """Fill a buffer from a source that may return less than asked; False at its end."""
    done = 0
    while done < len(buffer):
        piece = source.read(len(buffer) - done)
        if not piece:
            return False
        buffer[done : done + len(piece)] = piece
        done += len(piece)
    return True
