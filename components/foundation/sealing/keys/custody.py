"""The passphrase of private keys: one person's, or of several custodians together.

A custodian holds a component: 32 random bytes. The passphrase comes of the XOR of all, so those
who lack one know nothing of it. No message says whose component is wrong.
"""

import pathlib
import secrets
from collections.abc import Mapping, Sequence
from functools import reduce

from components.foundation.errors import UserError
from components.foundation.sealing.keys import files
from components.foundation.sealing.keys.derivation import derive
from components.foundation.sealing.keys.secret import Secret

VARIABLE = "FALAJ_KEYS_PASSPHRASE_FILE"
_BYTES = 32
_PURPOSE = b"falaj passphrase of custodians"


def passphrase(environment: Mapping[str, str]) -> Secret | None:
    """Read what FALAJ_KEYS_PASSPHRASE_FILE names: a file, or those of all custodians, by `:`.

    Raises:
        UserError: a file cannot be read or may be by everybody, or together they are none.
    """
    names = [name for name in environment.get(VARIABLE, "").split(":") if name]
    return of_files([pathlib.Path(name) for name in names]) if names else None


def of_files(paths: Sequence[pathlib.Path]) -> Secret:
    """Read a passphrase from its file, or from the components of several; raises UserError."""
    texts = [files.read_secret(path).rstrip(b"\r\n") for path in paths]
    if len(texts) == 1:
        return Secret(_checked(texts[0], paths[0]))
    return _joined([_component(text) for text in texts])


def split(paths: Sequence[pathlib.Path]) -> Secret:
    """Write a new component to each file, which must not be there; return the passphrase.

    Raises:
        UserError: fewer than two, or one exists.
    """
    if len(set(paths)) < 2 or any(path.exists() for path in paths):
        raise UserError(
            "custodians: expected two files or more, each another and none there yet; name a new "
            "one for each custodian, on a medium of their own",
            code="custodians-unfit",
        )
    parts = [secrets.token_bytes(_BYTES) for _ in paths]
    for path, part in zip(paths, parts, strict=True):
        files.write(path, part.hex().encode() + b"\n")
    return _joined(parts)


def _joined(parts: Sequence[bytes]) -> Secret:
    if len(set(parts)) != len(parts) or any(len(part) != _BYTES for part in parts):
        raise UserError(
            f"{VARIABLE}: the {len(parts)} files are not the components of {len(parts)} "
            "custodians; expected 64 hex digits in each, no two alike; let every custodian bring "
            "the own one",
            code="custodians-unfit",
        )
    whole = reduce(_xor, parts)
    return Secret(derive(whole, info=_PURPOSE, length=_BYTES).hex().encode())


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def _component(text: bytes) -> bytes:
    """Read hex digits; anything else is a component of no length."""
    try:
        return bytes.fromhex(text.decode())
    except ValueError:
        return b""


def _checked(phrase: bytes, path: pathlib.Path) -> bytes:
    if not phrase:
        raise UserError(
            f"{path}: is empty, expected a passphrase; write it there, or name no file",
            code="key-malformed",
        )
    return phrase
