"""Keys in files: a signing key, wrapping keys, and public halves."""

import os
import pathlib
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from components.foundation.errors import Refused, UserError
from components.foundation.sealing.keys.derivation import derive
from components.foundation.sealing.keys.interface import Files
from components.foundation.sealing.keys.secret import Secret

_NONCE_BYTES = 12


@dataclass(frozen=True)
class FileSigner:
    """A signing key that lies in a PEM file."""

    private: ec.EllipticCurvePrivateKey = field(repr=False)

    def sign(self, message: bytes) -> bytes:
        return self.private.sign(message, ec.ECDSA(hashes.SHA256()))


class WrappingKey:
    """A wrapping key of 256 bits; it wraps as nonce (12) | AES-256-GCM."""

    algorithm = "A256GCM"
    opens = True

    def __init__(self, key: bytes) -> None:
        self._secret = Secret(key)
        self.id = derive(key, info=b"falaj recipient id", length=8).hex()

    def __repr__(self) -> str:
        return f"WrappingKey({self.id})"

    @property
    def text(self) -> bytes:
        """The key as its file holds it."""
        return self._secret.reveal().hex().encode()

    def wrap(self, key: bytes, *, context: bytes) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + AESGCM(self._secret.reveal()).encrypt(nonce, key, context)

    def unwrap(self, wrapped: bytes, *, context: bytes, where: str) -> bytes:
        nonce, sealed = wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:]
        try:
            return AESGCM(self._secret.reveal()).decrypt(nonce, sealed, context)
        except (InvalidTag, ValueError):
            raise not_ours(self.id, where) from None


def not_ours(recipient: str, where: str) -> Refused:
    """Say that a key was wrapped by another key than ours, or for another use."""
    return Refused(
        f"{where}: the release key was not wrapped for this release by our wrapping key "
        f"{recipient}; use the key ring it was sealed with",
        code="wrapping-key-unknown",
    )


def write(path: pathlib.Path, data: bytes) -> None:
    """Write a new file that only its owner can read."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def write_all(folder: pathlib.Path, made: Mapping[str, bytes]) -> None:
    """Write the files of a new ring, in their order.

    Raises:
        UserError: there is one of them already, in which case none is written.
    """
    if any((folder / name).exists() for name in made):
        raise UserError(
            f"{folder}: already holds a key ring, or a part of one; name another folder",
            code="key-ring-exists",
        )
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, data in made.items():
        write(folder / name, data)


def read(path: pathlib.Path) -> bytes:
    """Read a file of a ring; raises UserError if it cannot be."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path}: {error.strerror}; a key ring holds verify.pem, wrapping.key and, to seal, "
            "signing.pem",
            code="key-missing",
        ) from error


def read_secret(path: pathlib.Path) -> bytes:
    """Read a file that others may not; raises UserError if it cannot be, or they may."""
    data = read(path)
    if stat.S_IMODE(path.stat().st_mode) & 0o007 and not _mounted_secret(path.parent):
        raise UserError(
            f"{path}: everybody on this machine may read it; chmod 600 it (in a pod: defaultMode "
            "0440 and an fsGroup), and make new keys if others could have",
            code="key-exposed",
        )
    return data


def _mounted_secret(folder: pathlib.Path) -> bool:
    """Tell a Kubernetes Secret volume by its `..data` link.

    KFP mounts Secrets world-readable and offers no other mode; only the pod sees the volume.
    """
    return (folder / "..data").is_symlink()


@dataclass(frozen=True, slots=True)
class Folder:
    """The files of a ring in a folder."""

    path: pathlib.Path

    def where(self, name: str) -> str:
        return str(self.path / name)

    def exists(self, name: str) -> bool:
        return (self.path / name).exists()

    def read(self, name: str) -> bytes:
        return read(self.path / name)

    def read_secret(self, name: str) -> bytes:
        return read_secret(self.path / name)


def wrapping_key(ring: Files, name: str) -> WrappingKey:
    """Read 256 bits in hex; raises UserError for anything else."""
    try:
        key = bytes.fromhex(ring.read_secret(name).decode())
    except ValueError:
        key = b""
    if len(key) != 32:
        raise UserError(
            f"{ring.where(name)}: expected 64 hex digits; restore the file", code="key-malformed"
        )
    return WrappingKey(key)


def private_key(ring: Files, name: str, passphrase: Secret | None) -> ec.EllipticCurvePrivateKey:
    """Read a PEM private key on P-256; raises UserError for anything else."""
    data, phrase = ring.read_secret(name), passphrase.reveal() if passphrase else None
    if phrase and b"ENCRYPTED" not in data:
        raise UserError(
            f"{ring.where(name)}: is under no passphrase, though one is given for it; put the key "
            "back that was encrypted, or name no file in FALAJ_KEYS_PASSPHRASE_FILE",
            code="key-in-the-clear",
        )
    try:
        key = serialization.load_pem_private_key(data, phrase)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        under = "under the passphrase that was given" if phrase else "without a passphrase"
        raise UserError(
            f"{ring.where(name)}: expected a PEM private key on P-256 {under}; restore the file, "
            "or name the right passphrase in FALAJ_KEYS_PASSPHRASE_FILE",
            code="key-malformed",
        )
    return key


def public_key(ring: Files, name: str) -> ec.EllipticCurvePublicKey:
    """Read a PEM public key on P-256; raises UserError for anything else."""
    try:
        key = serialization.load_pem_public_key(ring.read(name))
    except ValueError:
        key = None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise UserError(
            f"{ring.where(name)}: expected a PEM public key on P-256", code="key-malformed"
        )
    return key


def private_pem(key: ec.EllipticCurvePrivateKey, passphrase: Secret | None) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase.reveal())
        if passphrase
        else serialization.NoEncryption(),
    )
