"""Where a sealed release lies: `sealed+s3://bucket/model/version`."""

import re
from dataclasses import dataclass
from typing import Self

from components.foundation.errors import UserError
from components.foundation.storage import Address

BUCKET = "falaj-models"
_NAME = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_URI = re.compile(rf"sealed\+s3://([a-z0-9][a-z0-9.-]{{1,61}}[a-z0-9])/({_NAME})/([0-9a-f]{{12}})")


@dataclass(frozen=True, slots=True)
class ReleaseUri:
    """`ReleaseUri.parse(str(u)) == u`."""

    bucket: str
    model: str
    version: str

    def __str__(self) -> str:
        return f"sealed+s3://{self.bucket}/{self.model}/{self.version}"

    @classmethod
    def parse(cls, text: str) -> Self:
        found = _URI.fullmatch(text)
        if found is None:
            raise UserError(
                f"release {text!r}: expected sealed+s3://BUCKET/MODEL/VERSION, the scheme in lower "
                "case, VERSION 12 hex digits, and nothing after it",
                code="release-uri",
            )
        return cls(*found.groups())

    @property
    def address(self) -> Address:
        return Address(self.bucket, f"{self.model}/{self.version}/")


def checked_name(name: str, what: str = "model") -> str:
    """Return a name that is fit for a path, a URI and a Kubernetes object."""
    if re.fullmatch(_NAME, name) is None:
        raise UserError(
            f"{what} {name!r}: expected at most 63 lower-case letters, digits and hyphens, "
            "beginning and ending with a letter or digit",
            code="name-malformed",
        )
    return name
