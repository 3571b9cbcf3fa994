"""Where parts of observations are kept: a folder, or a prefix of an object store."""

import os
import pathlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from components.foundation.errors import InfrastructureError
from components.foundation.storage import Address, ObjectStore, Settings


class Sink(Protocol):
    """A place that takes a part whole or not at all, else raises one of our errors."""

    def write(self, name: str, data: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class Folder:
    path: pathlib.Path

    def write(self, name: str, data: bytes) -> None:
        hidden = self.path / f".{name}"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            hidden.write_bytes(data)
            os.replace(hidden, self.path / name)
        except OSError as error:
            raise InfrastructureError(
                f"{self.path / name}: {error.strerror}; is it writable?",
                code="observations-unwritable",
            ) from error


@dataclass(frozen=True, slots=True)
class Objects:
    store: ObjectStore
    prefix: Address

    def write(self, name: str, data: bytes) -> None:
        self.store.put(self.prefix / name, data)


def sink(where: str, environment: Mapping[str, str]) -> Sink:
    """Return the place that a text names: `s3://bucket/prefix`, else a folder."""
    if where.startswith("s3://"):
        store = ObjectStore(Settings.from_environment(environment))
        return Objects(store, Address.parse(where))
    return Folder(pathlib.Path(where))
