"""Where a sealed release lies: `sealed+s3://bucket/model/version`, or in a folder."""

import re
from dataclasses import dataclass
from typing import Self

from components.foundation.errors import UserError
from components.foundation.storage import Address

BUCKET = "falaj-models"
FOLDERS = ("file", "pvc")  # the schemes of what lies in files: on this machine, or on a claim
_NAME = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_ENTRY = r"[A-Za-z0-9_][A-Za-z0-9._-]*"
_URI = re.compile(
    r"sealed\+(?:(s3)://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/()"
    rf"|(file)://()/((?:{_ENTRY}/)*)"
    rf"|(pvc)://([a-z0-9](?:[-.a-z0-9]{{0,251}}[a-z0-9])?)/((?:{_ENTRY}/)*))"
    rf"({_NAME})/([0-9a-f]{{12}})"
)


@dataclass(frozen=True, slots=True)
class ReleaseUri:
    """`ReleaseUri.parse(str(u)) == u`.

    Attributes:
        bucket: of the object store; for `pvc` the claim, for `file` nothing.
        model: its name.
        version: the first 12 digits of its content.
        scheme: s3, or one of FOLDERS.
        folder: for FOLDERS, what lies between the root and the model, ending with a slash.
    """

    bucket: str
    model: str
    version: str
    scheme: str = "s3"
    folder: str = ""

    def __str__(self) -> str:
        return f"sealed+{self.scheme}://{self.bucket}/{self.folder}{self.model}/{self.version}"

    @classmethod
    def parse(cls, text: str) -> Self:
        found = _URI.fullmatch(text)
        if found is None:
            raise UserError(
                f"release {text!r}: expected sealed+s3://BUCKET/MODEL/VERSION, or sealed+file:// "
                "or sealed+pvc:// with a folder, the scheme in lower case, VERSION 12 hex digits, "
                "and nothing after it",
                code="release-uri",
            )
        scheme, bucket, folder, model, version = (g for g in found.groups() if g is not None)
        return cls(bucket, model, version, scheme, folder)

    @property
    def address(self) -> Address:
        return Address(self.bucket, f"{self.folder}{self.model}/{self.version}/", self.scheme)


def checked_name(name: str, what: str = "model") -> str:
    """Return a name that is fit for a path, a URI and a Kubernetes object."""
    if re.fullmatch(_NAME, name) is None:
        raise UserError(
            f"{what} {name!r}: expected at most 63 lower-case letters, digits and hyphens, "
            "beginning and ending with a letter or digit",
            code="name-malformed",
        )
    return name
