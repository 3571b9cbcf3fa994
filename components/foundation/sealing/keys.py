"""Key rings: who signs releases, and who may open them.

A ring is a folder: `signing.pem` (EC P-256, only where releases are made), `verify.pem` (its
public half) and `wrapping.key` (256 bits that wrap the keys of releases). `signing.pem` may be
under a passphrase, which comes from a file that FALAJ_KEYS_PASSPHRASE_FILE names.
"""

import os
import pathlib
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from components.foundation import digests
from components.foundation.errors import Refused, UserError

_SIGNING, _VERIFY, _WRAPPING = "signing.pem", "verify.pem", "wrapping.key"
_NONCE_BYTES = 12


def derive(key: bytes, *, info: bytes, length: int, salt: bytes | None = None) -> bytes:
    """Derive bytes from a key for one purpose (HKDF with SHA-256)."""
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=salt, info=info).derive(key)


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A key that only holders of one wrapping key can read."""

    recipient: str
    nonce: bytes
    key: bytes


@dataclass(frozen=True)
class KeyRing:
    """The keys of one site; without a signer it can open releases, not make them."""

    wrapping: bytes = field(repr=False)
    verifier: ec.EllipticCurvePublicKey = field(repr=False)
    signer: ec.EllipticCurvePrivateKey | None = field(default=None, repr=False)

    @classmethod
    def create(cls, folder: pathlib.Path, *, passphrase: bytes | None = None) -> Self:
        """Make new keys and write them to a folder where only the owner can read them.

        Args:
            folder: where they go.
            passphrase: what encrypts `signing.pem`, if anything does.

        Raises:
            UserError: the folder already holds a ring; keys are never overwritten.
        """
        signer = ec.generate_private_key(ec.SECP256R1())
        ring = cls(secrets.token_bytes(32), signer.public_key(), signer)
        ring.share(folder)
        _write(folder / _SIGNING, _private_pem(signer, passphrase))
        return ring

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the ring whose folder FALAJ_KEYS names; raises UserError if none is named."""
        folder = environment.get("FALAJ_KEYS")
        if not folder:
            raise UserError(
                "FALAJ_KEYS is not set; it names the folder of the key ring, which a site file or "
                "a mounted Secret has to give",
                code="keys-unset",
            )
        return cls.load(pathlib.Path(folder), passphrase=_passphrase(environment))

    @classmethod
    def load(cls, folder: pathlib.Path, *, passphrase: bytes | None = None) -> Self:
        """Read a ring.

        Raises:
            UserError: a file is missing, is no key, or can be read by everybody.
        """
        signer = None
        if (folder / _SIGNING).exists():
            signer = _private_key(folder / _SIGNING, passphrase)
        verifier = _public_key(folder / _VERIFY)
        if signer and _public_pem(signer.public_key()) != _public_pem(verifier):
            raise UserError(
                f"{folder}: {_SIGNING} and {_VERIFY} are not halves of one key; restore the folder",
                code="key-malformed",
            )
        return cls(_wrapping_key(folder / _WRAPPING), verifier, signer)

    def share(self, folder: pathlib.Path) -> None:
        """Write what opening releases needs, without the signing key, to a new folder."""
        if (folder / _WRAPPING).exists():
            raise UserError(
                f"{folder}: already holds a key ring; name another folder", code="key-ring-exists"
            )
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write(folder / _VERIFY, _public_pem(self.verifier))
        _write(folder / _WRAPPING, self.wrapping.hex().encode())

    @cached_property
    def signer_id(self) -> str:
        return digests.of_bytes(_public_der(self.verifier)).hex

    @cached_property
    def recipient_id(self) -> str:
        return derive(self.wrapping, info=b"falaj recipient id", length=8).hex()

    def sign(self, message: bytes) -> bytes:
        if self.signer is None:
            raise UserError(
                f"this key ring has no {_SIGNING}: it opens releases; sign with the ring that "
                "makes them",
                code="key-ring-cannot-sign",
            )
        return self.signer.sign(message, ec.ECDSA(hashes.SHA256()))

    def verifies(self, message: bytes, signature: bytes) -> bool:
        try:
            self.verifier.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True

    def wrap(self, key: bytes, *, context: bytes) -> WrappedKey:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return WrappedKey(
            self.recipient_id, nonce, AESGCM(self.wrapping).encrypt(nonce, key, context)
        )

    def unwrap(self, wrapped: WrappedKey, *, context: bytes, where: str) -> bytes:
        """Return the key; raises Refused when it was wrapped by another key or for another use."""
        try:
            return AESGCM(self.wrapping).decrypt(wrapped.nonce, wrapped.key, context)
        except (InvalidTag, ValueError):
            raise Refused(
                f"{where}: the release key was not wrapped for this release by our wrapping key "
                f"{self.recipient_id}; use the key ring it was sealed with",
                code="wrapping-key-unknown",
            ) from None


def _write(path: pathlib.Path, data: bytes) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)


def _read_secret(path: pathlib.Path) -> bytes:
    data = _read(path)
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


def _read(path: pathlib.Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path}: {error.strerror}; a key ring holds {_VERIFY}, {_WRAPPING} and, to seal, "
            f"{_SIGNING}",
            code="key-missing",
        ) from error


def _wrapping_key(path: pathlib.Path) -> bytes:
    try:
        key = bytes.fromhex(_read_secret(path).decode())
    except ValueError:
        key = b""
    if len(key) != 32:
        raise UserError(f"{path}: expected 64 hex digits; restore the file", code="key-malformed")
    return key


def _passphrase(environment: Mapping[str, str]) -> bytes | None:
    name = environment.get("FALAJ_KEYS_PASSPHRASE_FILE")
    if not name:
        return None
    passphrase = _read_secret(pathlib.Path(name)).rstrip(b"\r\n")
    if not passphrase:
        raise UserError(
            f"{name}: is empty, expected a passphrase; write it there, or name no file",
            code="key-malformed",
        )
    return passphrase


def _private_key(path: pathlib.Path, passphrase: bytes | None) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(_read_secret(path), passphrase)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        under = "under the passphrase that was given" if passphrase else "without a passphrase"
        raise UserError(
            f"{path}: expected a PEM private key on P-256 {under}; restore the file, or name the "
            "right passphrase in FALAJ_KEYS_PASSPHRASE_FILE",
            code="key-malformed",
        )
    return key


def _public_key(path: pathlib.Path) -> ec.EllipticCurvePublicKey:
    try:
        key = serialization.load_pem_public_key(_read(path))
    except ValueError:
        key = None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise UserError(f"{path}: expected a PEM public key on P-256", code="key-malformed")
    return key


def _private_pem(key: ec.EllipticCurvePrivateKey, passphrase: bytes | None) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase)
        if passphrase
        else serialization.NoEncryption(),
    )


def _public_pem(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _public_der(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
