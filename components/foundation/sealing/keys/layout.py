"""What a ring is made of: `ring.yaml` (docs/keys.md); without it, one key of each kind."""

from dataclasses import asdict, dataclass, field
from typing import Any, Self

import yaml

from components.foundation.errors import UserError
from components.foundation.sealing.keys.interface import Files

NAME = "ring.yaml"
SIGNING, VERIFY, WRAPPING = "signing.pem", "verify.pem", "wrapping.key"
PUBLIC, PRIVATE = ".pub.pem", ".pem"  # how files of recovery keys end
_MOST = 64  # readers of keys.json take no more
_NO_LAYOUT = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


@dataclass(frozen=True, slots=True)
class Believed:
    """A public key in a file of the ring; `revoked` says why it is none any more."""

    file: str
    revoked: str = ""


@dataclass(frozen=True, slots=True)
class Named:
    """A wrapping key, by its file in the ring or its URI."""

    key: str
    retired: bool = False

    @property
    def is_wrapping_file(self) -> bool:
        """Whether it is a wrapping key in a file: neither elsewhere nor a recovery key."""
        return ":" not in self.key and not self.key.endswith(PRIVATE)


@dataclass(frozen=True, slots=True)
class Layout:
    """`Layout.decode(x.encode(), where) == x`."""

    signer: str = SIGNING
    verifiers: tuple[Believed, ...] = (Believed(VERIFY),)
    recipients: tuple[Named, ...] = (Named(WRAPPING),)
    format: int = field(default=1)

    @classmethod
    def read(cls, ring: Files) -> Self:
        """Read what a ring says of itself; raises UserError for anything but a layout."""
        return cls.decode(ring.read(NAME), ring.where(NAME)) if ring.exists(NAME) else cls()

    @classmethod
    def decode(cls, data: bytes, where: str) -> Self:
        try:
            value = yaml.safe_load(data)
            layout = cls(
                value.pop("signer", ""),
                tuple(Believed(**entry) for entry in value.pop("verifiers")),
                tuple(Named(**entry) for entry in value.pop("recipients")),
                **value,
            )
            layout._check()
        except (*_NO_LAYOUT, yaml.YAMLError) as error:
            raise UserError(
                f"{where}: is no layout of a key ring: {error}; expected format 1, signer, "
                "verifiers (file, revoked) and recipients (key, retired); restore the file",
                code="key-ring-malformed",
            ) from error
        return layout

    def encode(self) -> bytes:
        return yaml.safe_dump(self._plain(), sort_keys=False).encode()

    def _plain(self) -> dict[str, Any]:
        return {
            "format": self.format,
            "signer": self.signer,
            "verifiers": [asdict(entry) for entry in self.verifiers],
            "recipients": [asdict(entry) for entry in self.recipients],
        }

    def _check(self) -> None:
        """Raise ValueError for a member of another kind, or for none that is of use."""
        if self.format != 1:
            raise ValueError(f"format {self.format!r}")
        files = [self.signer, *(v.file for v in self.verifiers), *(r.key for r in self.recipients)]
        texts = [*files, *(v.revoked for v in self.verifiers)]
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("a name is no text")
        if not all(isinstance(r.retired, bool) for r in self.recipients):
            raise ValueError("retired is neither true nor false")
        if not self.verifiers or not self.recipients:
            raise ValueError("no verifiers, or no recipients")
        if sum(not one.retired for one in self.recipients) > _MOST:
            raise ValueError(f"more than {_MOST} recipients of today")
        if len(set(files)) != len(files):
            raise ValueError("names a key twice")
        if any(":" not in name and "/" in name for name in files):
            raise ValueError("a file lies outside of the ring")
