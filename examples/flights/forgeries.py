"""What somebody with write access to the bucket could try, and what is said to it.

Every attempt is real: objects are copied and put back in the object store, and the initializer of
a serving pod is run on them as KServe runs it.
"""

import contextlib
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

from components.foundation.errors import Refused
from components.foundation.sealing import channel
from components.foundation.sealing.keys import KeyRing
from components.foundation.sealing.uri import BUCKET, ReleaseUri
from components.foundation.storage import Address, NotFound, ObjectStore
from components.governance.report.story import Forgery
from pipelines.laptop.session import Session

_TRIAL = "trial"  # a channel that nothing is served from


@dataclass(frozen=True, slots=True)
class Forger:
    """Has the bucket of models, no key; what it spoils of what is used it makes good again."""

    laptop: Session
    model: str

    @property
    def _store(self) -> ObjectStore:
        return self.laptop.store

    @property
    def _keys(self) -> KeyRing:
        return self.laptop.keys

    def attempts(self, *, older: str, newer: str, tampered: str) -> Iterator[Forgery]:
        """Try everything; `refused` is empty where nothing refused it."""
        yield Forgery("serve a release with one byte altered", self._opened(tampered))
        with self._renamed(newer) as renamed:
            yield Forgery("serve a release under another model's name", self._opened(renamed))
        with self._plaintext() as plain:
            yield Forgery("serve a model that nobody sealed", self._opened(plain))
        yield Forgery("put an old state of a channel back", self._put_back(older, newer))

    def _opened(self, uri: str) -> str:
        """Run the initializer; return its last line if it refused."""
        with tempfile.TemporaryDirectory() as scratch:
            command = [sys.executable, "-m", "inference.initializer", uri, f"{scratch}/models"]
            ended = subprocess.run(
                command, env=self.laptop.environment, capture_output=True, text=True, check=False
            )
            left = [path for path in pathlib.Path(scratch).rglob("*") if path.is_file()]
        if ended.returncode != Refused.exit_code or left:
            return ""
        return ended.stderr.strip().splitlines()[-1]

    @contextlib.contextmanager
    def _renamed(self, uri: str) -> Iterator[str]:
        """Copy a release, every object as it is, under another model's name."""
        source = ReleaseUri.parse(uri)
        target = ReleaseUri(BUCKET, f"{source.model}-renamed", source.version)
        for item in self._store.list(source.address):
            name = item.address.key.removeprefix(source.address.key)
            self._store.put(target.address / name, self._store.get(item.address))
        yield str(target)
        remove(target.model, self._store)

    @contextlib.contextmanager
    def _plaintext(self) -> Iterator[str]:
        """Put a model where a release would be, as nobody signed it."""
        target = ReleaseUri(BUCKET, f"{self.model}-plain", "0" * 12)
        self._store.put(target.address / "model.onnx", b"a model, as it is")
        self._store.put(target.address / "statement.json", b'{"model": "as it is"}')
        yield str(target)
        remove(target.model, self._store)

    def _put_back(self, older: str, newer: str) -> str:
        """Move the trial channel on, put its earlier object back, and ask where it points."""
        with self._undone():
            self._move(older, "an earlier release")
            before = self._store.get(self._channel)
            self._move(newer, "a later release")
            self._store.put(self._kept, self._store.get(self._channel))
            self._store.put(self._channel, before)
            try:
                channel.current(self.model, store=self._store, keys=self._keys, channel=_TRIAL)
            except Refused as refused:
                return str(refused)
        return ""

    def _move(self, uri: str, reason: str) -> None:
        channel.move(
            self.model, uri, store=self._store, keys=self._keys, channel=_TRIAL, reason=reason
        )

    @contextlib.contextmanager
    def _undone(self) -> Iterator[None]:
        """Make good what is put back in the block, or was in one that was killed."""
        self._restore()
        try:
            yield
        finally:
            self._restore()

    def _restore(self) -> None:
        with contextlib.suppress(NotFound):
            self._store.put(self._channel, self._store.get(self._kept))
            self._store.delete(self._kept)

    @property
    def _channel(self) -> Address:
        return Address(BUCKET, f"{self.model}/channel/{_TRIAL}")

    @property
    def _kept(self) -> Address:
        return Address(BUCKET, f"{self.model}/channel/{_TRIAL}-kept")


def remove(model: str, store: ObjectStore) -> None:
    """Delete every object of a model that was made for a trial."""
    for item in list(store.list(Address(BUCKET, f"{model}/"))):
        store.delete(item.address)


def check(attempts: list[Forgery]) -> list[Forgery]:
    """Return them; raises Refused when one of them got through."""
    for attempt in attempts:
        if not attempt.refused:
            raise Refused(
                f"nothing refused an attempt to {attempt.what}; do not serve from this store",
                code="forgery-passed",
            )
    return attempts
