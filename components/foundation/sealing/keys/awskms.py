"""Keys in AWS KMS: `awskms:///arn:aws:kms:REGION:ACCOUNT:key/ID`, as in sigstore.

Neither key ever leaves the service (docs/keys.md).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from components.foundation.sealing.keys.files import not_ours
from components.foundation.sealing.keys.kms import Kms

_MOST_BYTES = 6144  # of a ciphertext that Decrypt takes


@dataclass(frozen=True, slots=True)
class KmsSigner:
    """A key of spec ECC_NIST_P256 that signs."""

    kms: Kms

    def sign(self, message: bytes) -> bytes:
        with self.kms.asked("to sign") as client:
            answer = client.sign(
                KeyId=self.kms.key,
                Message=hashlib.sha256(message).digest(),
                MessageType="DIGEST",
                SigningAlgorithm="ECDSA_SHA_256",
            )
            return bytes(answer["Signature"])


@dataclass(frozen=True, slots=True)
class KmsRecipient:
    """A symmetric key; `wrapped` is the service's own ciphertext."""

    kms: Kms
    algorithm: str = "awskms-symmetric-default"
    opens: bool = True

    @property
    def id(self) -> str:
        """Name the key but not the endpoint: it opens through another one as well."""
        return f"awskms:///{self.kms.key}"

    def wrap(self, key: bytes, *, context: bytes) -> bytes:
        with self.kms.asked("to wrap a release key") as client:
            answer = client.encrypt(
                KeyId=self.kms.key, Plaintext=key, EncryptionContext=_use(context)
            )
            return _checked(answer["CiphertextBlob"])

    def unwrap(self, wrapped: bytes, *, context: bytes, where: str) -> bytes:
        if not _fits(wrapped):
            raise not_ours(self.id, where)
        with self.kms.asked(f"to unwrap the key of {where}") as client:
            try:
                answer = client.decrypt(
                    KeyId=self.kms.key, CiphertextBlob=wrapped, EncryptionContext=_use(context)
                )
            except (
                client.exceptions.InvalidCiphertextException,
                client.exceptions.IncorrectKeyException,
            ):
                raise not_ours(self.id, where) from None
            return bytes(answer["Plaintext"])


def signer(name: str, environment: Mapping[str, str]) -> KmsSigner:
    """Return the key of a name; raises UserError or Refused if it may not be that one."""
    return KmsSigner(Kms.parse(name, environment))


def recipient(name: str, environment: Mapping[str, str]) -> KmsRecipient:
    """Return the key of a name; raises UserError or Refused if it may not be that one."""
    return KmsRecipient(Kms.parse(name, environment))


def _fits(wrapped: bytes) -> bool:
    return 0 < len(wrapped) <= _MOST_BYTES


def _checked(wrapped: bytes) -> bytes:
    """Raise ValueError for what no reader would take."""
    if not _fits(wrapped):
        raise ValueError("no ciphertext of KMS")
    return wrapped


def _use(context: bytes) -> dict[str, str]:
    """Bind the use by its digest: the service takes text only, and shows it in its trail."""
    return {"falaj-use": hashlib.sha256(context).hexdigest()}
