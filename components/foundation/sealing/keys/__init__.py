"""Key rings: who signs releases, and who may open them (docs/keys.md)."""

from components.foundation.sealing.keys.derivation import derive
from components.foundation.sealing.keys.interface import Recipient, Signer, WrappedKey
from components.foundation.sealing.keys.ring import KeyRing
from components.foundation.sealing.keys.verifier import Verifier

__all__ = ["KeyRing", "Recipient", "Signer", "Verifier", "WrappedKey", "derive"]
