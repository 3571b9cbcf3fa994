"""A real OpenBao server (`bao server -dev-tls`): in memory, with TLS, unsealed at once."""

import base64
import contextlib
import os
import pathlib
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import hvac

from components.foundation.orphans import die_with_parent
from tests import ports

BAO = pathlib.Path(sys.executable).with_name("bao")
TRANSIT = "shares"  # not the default, so that TRANSIT_SECRET_ENGINE_PATH is obeyed or fails
_READY_S = 60.0


@dataclass(frozen=True)
class OpenBao:
    """A server; its root token lies in `.vault-token` of its folder, as the CLI keeps it."""

    folder: pathlib.Path
    address: str
    root: str = field(repr=False)
    unsealing: str = field(repr=False)

    @property
    def admin(self) -> Any:
        """A client with a connection of its own.

        SoftHSM leaves errors in the queue that OpenSSL keeps for a thread, and a connection that
        is open already takes them for its own; a handshake clears them.
        """
        return hvac.Client(self.address, token=self.root, verify=str(self.authority))

    @property
    def authority(self) -> pathlib.Path:
        return self.folder / "vault-ca.pem"

    @property
    def environment(self) -> dict[str, str]:
        """What reaches the server as root, by the token where the CLI keeps it."""
        return {
            "VAULT_ADDR": self.address,
            "VAULT_CACERT": str(self.authority),
            "HOME": str(self.folder),
            "TRANSIT_SECRET_ENGINE_PATH": TRANSIT,
        }

    def allowing(self, *paths: str) -> dict[str, str]:
        """Return what reaches the server as somebody who may update these paths and no other."""
        name = secrets.token_hex(8)
        rules = [f'path "{path}" {{ capabilities = ["update"] }}' for path in paths]
        self.admin.sys.create_or_update_policy(name, "\n".join(rules))
        token = self.admin.auth.token.create(policies=[name])["auth"]["client_token"]
        file = self.folder / name
        with open(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600), "w") as opened:
            opened.write(f"{token}\n")
        return {**self.environment, "VAULT_TOKEN_FILE": str(file)}

    def key(self, kind: str, **settings: object) -> str:
        """Make a transit key that no other test uses; return its name."""
        name = f"k-{secrets.token_hex(6)}"
        self.admin.secrets.transit.create_key(name, key_type=kind, mount_point=TRANSIT, **settings)
        return name

    def public(self, key: str) -> str:
        """Return the newest public key, in PEM."""
        said = self.admin.secrets.transit.read_key(key, mount_point=TRANSIT)["data"]["keys"]
        return str(said[max(said, key=int)]["public_key"])

    @contextlib.contextmanager
    def sealed(self) -> Iterator[None]:
        self.admin.sys.seal()
        try:
            yield
        finally:
            self.admin.sys.submit_unseal_key(self.unsealing)
            _wait(lambda: self.admin.sys.read_health_status(method="GET")["sealed"] is False)


@contextlib.contextmanager
def running(folder: pathlib.Path) -> Iterator[OpenBao]:
    """Run a server with its transit engine until the block ends."""
    root, port = secrets.token_hex(16), ports.free()
    where = f"127.0.0.1:{port}"
    command = [str(BAO), "server", "-dev-tls", f"-dev-tls-cert-dir={folder}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, f"-dev-listen-address={where}"],
            stdout=log,
            stderr=log,
            env={"HOME": str(folder), "BAO_DEV_ROOT_TOKEN_ID": root},
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
    try:
        _wait(lambda: process.poll() is not None or b"Root Token:" in (folder / "log").read_bytes())
        assert process.poll() is None, (folder / "log").read_text()
        unsealing = re.search(r"Unseal Key: (\S+)", (folder / "log").read_text())
        assert unsealing
        server = OpenBao(folder, f"https://{where}", root, unsealing[1])
        server.admin.sys.enable_secrets_engine("transit", path=TRANSIT)
        yield server
    finally:
        process.terminate()
        process.wait(timeout=30)


def flipped(wrapped: bytes) -> bytes:
    """Change one bit of a ciphertext of transit."""
    head, _, text = wrapped.rpartition(b":")
    raw = bytearray(base64.b64decode(text))
    raw[20] ^= 1
    return head + b":" + base64.b64encode(raw)


def _wait(ready: Any) -> None:
    end = time.monotonic() + _READY_S
    while not ready():
        assert time.monotonic() < end, "OpenBao did not become ready"
        time.sleep(0.05)
