"""Where a training run that was killed goes on from: one object, replaced after every epoch."""

import io
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from components.foundation.digests import Digest
from components.foundation.storage import Address, NotFound, ObjectStore


@dataclass(frozen=True, slots=True)
class Saved:
    """All that a run is; `Saved.decode(s.encode()) == s`."""

    history: str
    state: bytes
    best: bytes

    def encode(self) -> bytes:
        file = io.BytesIO()
        history, state, best = (
            np.frombuffer(part, np.uint8) for part in (self.history.encode(), self.state, self.best)
        )
        np.savez(file, history=history, state=state, best=best)
        return file.getvalue()

    @classmethod
    def decode(cls, data: bytes) -> "Saved":
        with np.load(io.BytesIO(data), allow_pickle=False) as parts:
            return cls(
                parts["history"].tobytes().decode(),
                parts["state"].tobytes(),
                parts["best"].tobytes(),
            )


class Checkpoints(Protocol):
    """Keeps the newest checkpoint of one run."""

    def get(self) -> Saved | None:
        """Return it, if there is one."""

    def put(self, saved: Saved) -> None:
        """Replace it, whole or not at all."""


@dataclass(frozen=True, slots=True)
class NoCheckpoints:
    """For runs short enough to start over."""

    def get(self) -> Saved | None:
        return None

    def put(self, saved: Saved) -> None:
        return None


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """One object on S3, named by what the run is a function of."""

    store: ObjectStore
    address: Address

    def get(self) -> Saved | None:
        try:
            return Saved.decode(self.store.get(self.address))
        except NotFound:
            return None

    def put(self, saved: Saved) -> None:
        self.store.put(self.address, saved.encode())


def under(prefix: str, store: ObjectStore, *, inputs: Digest) -> Checkpoints:
    """Return where a run with these inputs keeps its checkpoint: nowhere, if no prefix is given."""
    if not prefix:
        return NoCheckpoints()
    return StoredCheckpoint(store, Address.parse(prefix) / inputs.short / "checkpoint.npz")
