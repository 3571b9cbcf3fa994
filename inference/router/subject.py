"""Whose request it is: by header, else by a cookie of ours, else nobody's."""

import enum
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_ID: Final = re.compile(rb"[A-Za-z0-9_-]{16,128}")


class Known(enum.Enum):
    """By what a request got its variant."""

    HEADER = "header"
    COOKIE = "cookie"
    NEW = "new"  # a cookie is given with the answer
    CHANCE = "chance"
    FORCED = "forced"


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is assigned; `cookie` is the value of Set-Cookie, empty where none is due."""

    name: bytes
    known: Known
    cookie: bytes = b""


@dataclass(frozen=True, slots=True)
class Subjects:
    """How subjects are told apart.

    Attributes:
        header: its lower-case name; empty looks at none.
        cookie: its name; empty sets none, and a request without the header goes by chance.
        secure: the cookie is sent back over TLS only.
        days: that the cookie lasts.
    """

    header: bytes
    cookie: bytes
    secure: bool
    days: int

    def of(self, headers: Mapping[bytes, bytes]) -> Subject:
        """Return the subject of a request."""
        named = headers.get(self.header) if self.header else None
        if named:
            return Subject(named, Known.HEADER)
        if not self.cookie:
            return Subject(secrets.token_bytes(16), Known.CHANCE)
        kept = _cookie(headers.get(b"cookie", b""), self.cookie)
        if kept:
            return Subject(kept, Known.COOKIE)
        made = secrets.token_urlsafe(16).encode()
        return Subject(made, Known.NEW, self._setting(made))

    def _setting(self, value: bytes) -> bytes:
        lasts = self.days * 86_400
        setting = b"%b=%b; Path=/; Max-Age=%d; HttpOnly; SameSite=Lax" % (
            self.cookie,
            value,
            lasts,
        )
        return setting + b"; Secure" if self.secure else setting


def _cookie(header: bytes, name: bytes) -> bytes:
    """Return a cookie's value; nothing where it is missing or cannot be of our making."""
    # Headers that came twice were joined by a comma, which no cookie's value holds.
    for pair in header.replace(b",", b";").split(b";"):
        key, _, value = pair.strip().partition(b"=")
        if key == name and _ID.fullmatch(value):
            return value
    return b""
