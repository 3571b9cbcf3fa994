"""A real identity provider, of a kind that others certify, on a loopback port."""

import contextlib
import hashlib
import pathlib
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import httpx

from tests import ports
from tests.prerequisites import Need

AUDIENCE = "urn:falaj:delays"
_HERE = pathlib.Path(__file__).parent
_CACHE = _HERE.parents[1] / ".cache" / "identity"
_LOCK = ("package.json", "package-lock.json")
_NEED = Need("npm", "npm and node", "no real identity provider can be asked for tokens")


@dataclass(frozen=True)
class Provider:
    """A provider at work."""

    process: "subprocess.Popen[str]"
    url: str

    def token(self, scope: str) -> str:
        form = {"grant_type": "client_credentials", "resource": AUDIENCE, "scope": scope}
        secret = ("caller", "not-a-secret-of-anybody")
        answer = httpx.post(f"{self.url}/token", data=form, auth=secret, trust_env=False)
        return str(answer.raise_for_status().json()["access_token"])

    def rotate(self) -> None:
        """Sign with a new key and forget the old one."""
        self.process.send_signal(signal.SIGHUP)
        _wait_for(self.process, "rotated")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def provided() -> Iterator[Provider]:
    port = ports.free()
    command = ["node", str(_HERE / "provider.mjs"), str(_modules()), str(port)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    provider = Provider(process, f"http://127.0.0.1:{port}")
    try:
        _wait_for(process, "ready")
        yield provider
    finally:
        provider.stop()


def _modules() -> pathlib.Path:
    """Return the folder of the locked packages; they are installed at the first use."""
    if not shutil.which("npm") or not shutil.which("node"):
        raise AssertionError(_NEED.missing)
    texts = b"".join((_HERE / name).read_bytes() for name in _LOCK)
    folder = _CACHE / hashlib.sha256(texts).hexdigest()[:16]
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        for name in _LOCK:
            shutil.copy(_HERE / name, folder)
        install = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=180)
        assert done.returncode == 0, f"npm ci failed: {done.stderr[-2000:]}"
        (folder / "complete").touch()
    return folder


def _wait_for(process: "subprocess.Popen[str]", word: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == word:
            return
    raise AssertionError(f"the identity provider ended before it said {word}")
