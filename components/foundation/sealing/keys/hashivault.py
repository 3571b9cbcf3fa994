"""Keys in the transit engine of OpenBao or HashiCorp Vault: `hashivault://KEY`, as in sigstore.

The private key and the wrapping key never leave the server (docs/keys.md).
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from hvac import exceptions

from components.foundation.errors import UserError
from components.foundation.sealing.keys.files import not_ours
from components.foundation.sealing.keys.vault import Vault, said_by

_NAME = re.compile(r"hashivault://([A-Za-z0-9_][A-Za-z0-9_.-]{0,98})")
_WRAPPED = re.compile(rb"vault:v[1-9][0-9]{0,8}:[A-Za-z0-9+/]{1,1000}={0,2}")
# What transit says with its 400 when a ciphertext is another key's, another use's, or none.
_NOT_OURS = ("message authentication failed", "invalid ciphertext")


@dataclass(frozen=True, slots=True)
class TransitSigner:
    """A key of type ecdsa-p256; the newest version of it signs."""

    vault: Vault
    key: str

    def sign(self, message: bytes) -> bytes:
        with self.vault.asked(f"hashivault://{self.key}: to sign") as client:
            answer = client.secrets.transit.sign_data(
                name=self.key,
                hash_input=_text(hashlib.sha256(message).digest()),
                hash_algorithm="sha2-256",
                prehashed=True,
                marshaling_algorithm="asn1",
                mount_point=self.vault.transit,
            )
            return _bytes(answer["data"]["signature"].split(":")[2])


@dataclass(frozen=True, slots=True)
class TransitRecipient:
    """A key of an AEAD type; `wrapped` is transit's text, which names the key's version."""

    vault: Vault
    key: str
    algorithm: str = "vault-transit-aead"
    opens: bool = True

    @property
    def id(self) -> str:
        """Name the key but not the server: a replica under another address opens as well."""
        return f"hashivault://{self.key}"

    def wrap(self, key: bytes, *, context: bytes) -> bytes:
        with self.vault.asked(f"{self.id}: to wrap a release key") as client:
            answer = client.secrets.transit.encrypt_data(
                name=self.key,
                plaintext=_text(key),
                associated_data=_text(context),
                mount_point=self.vault.transit,
            )
            return _checked(answer["data"]["ciphertext"].encode())

    def unwrap(self, wrapped: bytes, *, context: bytes, where: str) -> bytes:
        if not _WRAPPED.fullmatch(wrapped):
            raise not_ours(self.id, where)
        with self.vault.asked(f"{self.id}: to unwrap the key of {where}") as client:
            try:
                answer = client.secrets.transit.decrypt_data(
                    name=self.key,
                    ciphertext=wrapped.decode(),
                    associated_data=_text(context),
                    mount_point=self.vault.transit,
                )
            except exceptions.InvalidRequest as error:
                if any(words in said_by(error) for words in _NOT_OURS):
                    raise not_ours(self.id, where) from None
                raise
            return _bytes(answer["data"]["plaintext"])


def signer(name: str, environment: Mapping[str, str]) -> TransitSigner:
    """Return the key of a name; raises UserError if it or the environment is malformed."""
    return TransitSigner(Vault.parse(environment), _key(name))


def recipient(name: str, environment: Mapping[str, str]) -> TransitRecipient:
    """Return the key of a name; raises UserError if it or the environment is malformed."""
    return TransitRecipient(Vault.parse(environment), _key(name))


def _key(name: str) -> str:
    found = _NAME.fullmatch(name)
    if not found:
        raise UserError(
            f"key {name[:100]!r}: expected hashivault://KEY, where KEY is the name of a transit "
            "key; its mount goes in TRANSIT_SECRET_ENGINE_PATH",
            code="key-place-unknown",
        )
    return found[1]


def _checked(wrapped: bytes) -> bytes:
    """Raise ValueError for what no reader would take."""
    if not _WRAPPED.fullmatch(wrapped):
        raise ValueError("no ciphertext of transit")
    return wrapped


def _text(data: bytes) -> str:
    return base64.standard_b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
