"""What a key can do, wherever it lies: one file beside this one for each kind of place."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A key that only one recipient can read; what `key` holds, the algorithm says."""

    recipient: str
    algorithm: str
    key: bytes


class Files(Protocol):
    """The files of a ring, in a folder or in a Kubernetes Secret."""

    def where(self, name: str) -> str:
        """Say where a file lies, for people."""

    def exists(self, name: str) -> bool:
        """Tell whether there is such a file."""

    def read(self, name: str) -> bytes:
        """Read a file; raises UserError if it cannot be."""

    def read_secret(self, name: str) -> bytes:
        """Read a file that others may not; raises UserError if it cannot be, or they may."""


class Signer(Protocol):
    """A private key on P-256."""

    def sign(self, message: bytes) -> bytes:
        """Return an ECDSA signature over the message's SHA-256, in DER.

        Raises:
            UserError: we may not use the key, or there is none.
            InfrastructureError: its keeper cannot be reached.
        """


class Recipient(Protocol):
    """Somebody for whom release keys are wrapped."""

    @property
    def id(self) -> str:
        """The name under which `keys.json` lists it."""

    @property
    def algorithm(self) -> str:
        """How it wraps; an entry that says otherwise is refused."""

    @property
    def opens(self) -> bool:
        """Whether we hold what unwraps, too."""

    def wrap(self, key: bytes, *, context: bytes) -> bytes:
        """Wrap a key of 32 bytes for one use.

        Raises:
            UserError: we may not use the wrapping key, or there is none.
            InfrastructureError: its keeper cannot be reached.
        """

    def unwrap(self, wrapped: bytes, *, context: bytes, where: str) -> bytes:
        """Return the key.

        Raises:
            Refused: it was wrapped by another key, or for another use.
            UserError: we may not use the wrapping key, or there is none.
            InfrastructureError: its keeper cannot be reached.
        """
