"""Bytes for one purpose, derived from a key."""

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def derive(key: bytes, *, info: bytes, length: int, salt: bytes | None = None) -> bytes:
    """Derive bytes from a key for one purpose (HKDF with SHA-256)."""
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=salt, info=info).derive(key)
