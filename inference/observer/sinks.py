"""Where parts of observations are kept: a folder, or a prefix of an object store."""

import os
import pathlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from components.foundation.errors import InfrastructureError
from components.foundation.storage import Address, ObjectStore, Settings


class Sink(Protocol):
    """A place that takes a part whole or not at all, else raises one of our errors.

    The same part put again under its name changes nothing.
    """

    @property
    def destination(self) -> str:
        """Tell this place from all others: parts meant for one must not end up in another."""

    def write(self, name: str, data: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class Folder:
    path: pathlib.Path

    @property
    def destination(self) -> str:
        return str(self.path.absolute())

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

    @property
    def destination(self) -> str:
        return f"{self.store.settings.endpoint} {self.prefix}"

    def write(self, name: str, data: bytes) -> None:
        self.store.put(self.prefix / name, data)


def sink(where: str, environment: Mapping[str, str]) -> Sink:
    """Return the place that a text names: `s3://bucket/prefix`, else a folder."""
    if where.startswith("s3://"):
        # Not at the first upload: an import holds Python's lock, and answers would wait for it.
        import obstore.store  # noqa: F401

        store = ObjectStore(Settings.from_environment(environment))
        return Objects(store, Address.parse(where))
    return Folder(pathlib.Path(where))
