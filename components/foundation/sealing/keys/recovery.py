"""Recipients by public key (HPKE, RFC 9180): what opens may lie in a safe, offline."""

from dataclasses import dataclass, field
from functools import cached_property

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from components.foundation.sealing.keys.files import not_ours
from components.foundation.sealing.keys.verifier import Verifier

_SUITE = Suite(KEM.P256, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


@dataclass(frozen=True)
class PublicRecipient:
    """Who holds the private half of a key on P-256; `wrapped` is HPKE's enc | ciphertext."""

    public: ec.EllipticCurvePublicKey = field(repr=False)
    private: ec.EllipticCurvePrivateKey | None = field(default=None, repr=False)
    algorithm: str = "HPKE-P256-HKDF-SHA256-A256GCM"

    @cached_property
    def id(self) -> str:
        return Verifier(self.public).id[:16]

    @property
    def opens(self) -> bool:
        return self.private is not None

    def wrap(self, key: bytes, *, context: bytes) -> bytes:
        return _SUITE.encrypt(key, self.public, info=context)

    def unwrap(self, wrapped: bytes, *, context: bytes, where: str) -> bytes:
        if self.private is None:
            raise not_ours(self.id, where)
        try:
            return _SUITE.decrypt(wrapped, self.private, info=context)
        except (InvalidTag, ValueError):
            raise not_ours(self.id, where) from None
