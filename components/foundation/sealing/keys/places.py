"""Where a key lies, by how a ring names it: in a file, or by the URI of its keeper."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from components.foundation.errors import UserError
from components.foundation.sealing.keys import files
from components.foundation.sealing.keys.interface import Files, Recipient, Signer
from components.foundation.sealing.keys.recovery import PublicRecipient
from components.foundation.sealing.keys.secret import Secret


@dataclass(frozen=True, slots=True)
class Places:
    """Where the keys of one ring are found.

    Attributes:
        ring: holds those in files.
        passphrase: what private keys in files are encrypted with, if anything.
        environment: how the keepers of the others are reached.
    """

    ring: Files
    passphrase: Secret | None = field(repr=False)
    environment: Mapping[str, str] = field(repr=False)

    def signer(self, name: str) -> Signer | None:
        """Return the key that signs; None where the ring names none, or has no such file.

        Raises:
            UserError: the file is no key, or no kind of place is named so.
        """
        match _scheme(name):
            case "" if name and self.ring.exists(name):
                return files.FileSigner(files.private_key(self.ring, name, self.passphrase))
            case "":
                return None
            case scheme:
                return _keeper(scheme).signer(name, self.environment)

    def recipient(self, name: str) -> Recipient:
        """Return somebody for whom release keys are wrapped.

        Raises:
            UserError: the file is missing or no key, or no kind of place is named so.
        """
        match _scheme(name):
            case "" if name.endswith(".pub.pem"):
                return PublicRecipient(files.public_key(self.ring, name))
            case "" if name.endswith(".pem"):
                private = files.private_key(self.ring, name, self.passphrase)
                return PublicRecipient(private.public_key(), private)
            case "":
                return files.wrapping_key(self.ring, name)
            case scheme:
                return _keeper(scheme).recipient(name, self.environment)


class _Keeper(Protocol):
    """A module for one kind of place outside of the ring."""

    def signer(self, name: str, environment: Mapping[str, str], /) -> Signer: ...

    def recipient(self, name: str, environment: Mapping[str, str], /) -> Recipient: ...


def _scheme(name: str) -> str:
    return name.partition(":")[0] if ":" in name else ""


def _keeper(scheme: str) -> _Keeper:
    """Load the module for a kind of place, which needs its extra; raises UserError."""
    with _of_extra(scheme):
        match scheme:
            case "awskms":
                from components.foundation.sealing.keys import awskms

                return awskms
            case "hashivault":
                from components.foundation.sealing.keys import hashivault

                return hashivault
            case "pkcs11":
                from components.foundation.sealing.keys import pkcs11

                return pkcs11
            case _:
                raise _unknown(scheme)


@contextlib.contextmanager
def _of_extra(extra: str) -> Iterator[None]:
    """Say what to install where a keeper's library is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise UserError(
            f"{error.name}: not installed; install the extra: pip install 'falaj[{extra}]'",
            code="extra-not-installed",
        ) from error


def _unknown(scheme: str) -> UserError:
    return UserError(
        f"key {scheme}:...: no kind of place that we know; expected a file of the ring",
        code="key-place-unknown",
    )
