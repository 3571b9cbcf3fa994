"""SoftHSM: a token of software behind a real PKCS#11 module, in a folder of its own."""

import contextlib
import os
import pathlib
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pkcs11
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)
from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass
from pkcs11.util.ec import encode_ec_public_key, encode_named_curve_parameters

from tests import prerequisites

MODULE = prerequisites.TOKENS.file
PIN, _SO_PIN = "a-pin-that-nobody-may-see", "87654321"


@dataclass(frozen=True)
class SoftHsm:
    """A folder of tokens; SOFTHSM2_CONF names it while a test runs."""

    folder: pathlib.Path

    @property
    def pin(self) -> pathlib.Path:
        return self.folder / "pin"

    @property
    def tokens(self) -> pathlib.Path:
        return self.folder / "tokens"

    def uri(self, key: str, **query: object) -> str:
        """Return the URI of a key; `query` says otherwise."""
        said = {"module-path": MODULE, "pin-source": f"file:{self.pin}"}
        said |= {name.replace("_", "-"): str(value) for name, value in query.items()}
        return f"pkcs11:token=falaj;{key}?" + "&".join(f"{k}={v}" for k, v in said.items() if v)

    def initialise(self, label: str) -> None:
        command = ["softhsm2-util", "--init-token", "--free", "--label", label, "--module", MODULE]
        subprocess.run(
            [*command, "--pin", PIN, "--so-pin", _SO_PIN], check=True, capture_output=True
        )

    @contextlib.contextmanager
    def opened(self) -> Iterator[Any]:
        """Lend a session that may make keys."""
        module = pkcs11.lib(MODULE)
        try:
            yield module.get_token(token_label="falaj").open(rw=True, user_pin=PIN)
        finally:
            module.finalize()

    def serials(self) -> list[str]:
        module = pkcs11.lib(MODULE)
        try:
            return [token.serial.decode() for token in module.get_tokens(token_label="falaj")]
        finally:
            module.finalize()

    def wrapping(self, label: str = "wrapping", *, bits: int = 256, **options: Any) -> None:
        """Make a key that wraps."""
        may = options.pop("capabilities", MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT)
        with self.opened() as session:
            session.generate_key(
                KeyType.AES, bits, label=label, store=True, capabilities=may, **options
            )

    def put(self, label: str, key: bytes) -> None:
        """Put a key in whose bytes are known."""
        with self.opened() as session:
            session.create_object(
                {
                    Attribute.CLASS: ObjectClass.SECRET_KEY,
                    Attribute.KEY_TYPE: KeyType.AES,
                    Attribute.VALUE: key,
                    **{Attribute.LABEL: label, Attribute.TOKEN: True, Attribute.PRIVATE: True},
                    **{Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
                    **{Attribute.ENCRYPT: True, Attribute.DECRYPT: True},
                }
            )

    def signing(self, label: str = "signing", *, curve: str = "secp256r1") -> bytes:
        """Make a key that signs; return its public half in PEM."""
        with self.opened() as session:
            parameters = session.create_domain_parameters(
                KeyType.EC, {Attribute.EC_PARAMS: encode_named_curve_parameters(curve)}, local=True
            )
            public, _ = parameters.generate_keypair(
                mechanism=Mechanism.EC_KEY_PAIR_GEN, label=label, store=True
            )
            der = encode_ec_public_key(public)
        return load_der_public_key(der).public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )

    @contextlib.contextmanager
    def unplugged(self) -> Iterator[None]:
        """Take all tokens away until the block ends."""
        away = self.folder / "away"
        self.tokens.rename(away)
        self.tokens.mkdir()
        try:
            yield
        finally:
            shutil.rmtree(self.tokens)
            away.rename(self.tokens)


def made(folder: pathlib.Path) -> SoftHsm:
    """Make a token named falaj; the caller sets SOFTHSM2_CONF to `conf` in the folder."""
    hsm = SoftHsm(folder)
    hsm.tokens.mkdir()
    (folder / "conf").write_text(f"directories.tokendir = {hsm.tokens}\nlog.level = ERROR\n")
    with open(os.open(hsm.pin, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write(f"{PIN}\n")
    return hsm
