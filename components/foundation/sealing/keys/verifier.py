"""Whose signatures are believed."""

from dataclasses import dataclass, field
from functools import cached_property

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from components.foundation import digests


@dataclass(frozen=True)
class Verifier:
    """A public key on P-256; once revoked, for the reason given, it vouches for nothing."""

    public: ec.EllipticCurvePublicKey = field(repr=False)
    revoked: str = ""

    @cached_property
    def id(self) -> str:
        """SHA-256 of the key's DER, in hex."""
        return digests.of_bytes(_encoded(self.public, serialization.Encoding.DER)).hex

    @property
    def pem(self) -> bytes:
        return _encoded(self.public, serialization.Encoding.PEM)

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Tell whether the signature (DER) over a message is this key's, revoked or not."""
        try:
            self.public.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True


def _encoded(key: ec.EllipticCurvePublicKey, encoding: serialization.Encoding) -> bytes:
    return key.public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
