"""Names of keys in a token: `pkcs11:` URIs (RFC 7512), without a PIN in them."""

import pathlib
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from components.foundation.errors import UserError

_PATH = ("token", "serial", "object", "id", "type")
_QUERY = ("module-path", "pin-source")
_MOST = 200  # characters of a name in keys.json


@dataclass(frozen=True, slots=True)
class KeyUri:
    """Which key, in which token, behind which module.

    Attributes:
        token: the token's label.
        serial: the token's serial number, where labels do not tell tokens apart.
        object: the key's label; empty where `id` names it alone.
        id: the key's CKA_ID; empty where `object` names it alone.
        module: the library that speaks to the token.
        pin: the file that holds the user's PIN.
    """

    token: str
    serial: str
    object: str
    id: bytes
    module: pathlib.Path
    pin: pathlib.Path

    @classmethod
    def parse(cls, name: str, environment: Mapping[str, str], *, kind: str) -> Self:
        """Read a URI.

        Args:
            name: the URI.
            environment: its PKCS11_MODULE_PATH is taken where the URI has no module-path.
            kind: what `type` may say, if it is there.

        Raises:
            UserError: it is malformed, names too little, or holds a PIN.
        """
        path, _, query = name.removeprefix("pkcs11:").partition("?")
        parts = {**_read(path, ";", _PATH), **_read(query, "&", _QUERY)}
        text = {key: _text(key, value) for key, value in parts.items() if key != "id"}
        if text.get("type", kind) != kind:
            raise _malformed(f"type is {text['type'][:40]!r}, expected {kind!r} here")
        module = text.get("module-path") or environment.get("PKCS11_MODULE_PATH", "")
        return cls(
            text.get("token", ""),
            text.get("serial", ""),
            text.get("object", ""),
            parts.get("id", b""),
            pathlib.Path(module),
            _file(text.get("pin-source", "")),
        )._checked()

    @property
    def recipient(self) -> str:
        """Name the key, but neither the module nor the PIN: they differ between machines."""
        parts = [_plain(self.token), _plain(self.object), self.id.hex()]
        return "pkcs11:" + "/".join(parts).rstrip("/")

    def _checked(self) -> Self:
        if not self.token or not (self.object or self.id):
            raise _malformed("it names no token, or neither an object nor an id")
        if not self.module.is_absolute():
            raise _malformed(
                "it has no absolute module-path, and PKCS11_MODULE_PATH gives none either"
            )
        if not self.pin.is_absolute():
            raise _malformed("it names no file of the PIN")
        if len(self.recipient) > _MOST:
            raise _malformed(f"its names are longer than {_MOST} characters")
        return self


def _read(text: str, separator: str, known: tuple[str, ...]) -> dict[str, bytes]:
    """Split attributes; no value is shown in an error, for it may be a PIN."""
    values: dict[str, bytes] = {}
    for part in text.split(separator) if text else ():
        key, _, value = part.partition("=")
        if key == "pin-value":
            raise _malformed("pin-value would show the PIN to whoever reads the ring")
        if key not in known or key in values:
            raise _malformed(f"it has {key[:40]!r} twice, or where only {', '.join(known)} can be")
        values[key] = urllib.parse.unquote_to_bytes(value)
    return values


def _text(key: str, value: bytes) -> str:
    text = value.decode(errors="replace")
    if not text.isprintable() or "\ufffd" in text:
        raise _malformed(f"{key} is no text")
    return text


def _file(source: str) -> pathlib.Path:
    path = source.removeprefix("file://") if source.startswith("file:///") else source
    return pathlib.Path(path.removeprefix("file:"))


def _plain(text: str) -> str:
    """Quote what a name in keys.json cannot hold; no two texts become one."""
    return urllib.parse.quote(text, safe="").replace("%", "=").replace("~", "=7E")


def _malformed(why: str) -> UserError:
    return UserError(
        f"key pkcs11:...: {why}; expected pkcs11:token=NAME;object=NAME?module-path=/LIBRARY.so"
        "&pin-source=file:/FILE, as docs/keys.md shows",
        code="key-place-unknown",
    )
