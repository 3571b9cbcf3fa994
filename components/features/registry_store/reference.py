"""A registry by address and by what it defines."""

from dataclasses import dataclass
from typing import Self

from components.foundation.digests import Digest
from components.foundation.errors import UserError
from components.foundation.storage import Address


@dataclass(frozen=True, slots=True)
class RegistryRef:
    """`s3://bucket/key#sha256:...`; `RegistryRef.parse(str(r)) == r`.

    The digest covers the definitions alone, so materialising does not change it.
    """

    address: Address
    definitions: Digest

    def __str__(self) -> str:
        return f"{self.address}#{self.definitions}"

    @classmethod
    def parse(cls, text: str) -> Self:
        address, mark, digest = text.partition("#")
        if not mark:
            raise UserError(
                f"registry {text!r}: expected s3://bucket/key#sha256:..., as apply_features gives",
                code="registry-reference",
            )
        return cls(Address.parse(address), Digest.parse(digest))
