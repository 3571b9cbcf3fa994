"""The folder that a release is opened into: nothing of it is in place before all is sound."""

import contextlib
import json
import os
import pathlib
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from components.foundation import digests
from components.foundation.digests import Digest
from components.foundation.errors import InfrastructureError, UserError
from components.foundation.sealing.paths import OPENED

_PARTIAL = ".unsealing"


@dataclass(frozen=True, slots=True)
class Destination:
    """A folder that is empty, or holds the same release, whole or in part."""

    folder: pathlib.Path
    uri: str

    def check(self, names: Sequence[str]) -> None:
        """Refuse to mix a release with files of something else.

        Raises:
            UserError: it holds another release, or a file that is none of these.
        """
        if (other := self._release()) not in (None, self.uri):
            raise self._not_empty(self.folder, f"holds {other}, not")
        for path in self.folder.rglob("*"):
            name = path.relative_to(self.folder).as_posix()
            kept = path.is_dir() and not path.is_symlink()
            if not kept and name not in names and not name.startswith(f"{_PARTIAL}/"):
                raise self._not_empty(path, "is not of")

    @contextlib.contextmanager
    def writing(self, names: Sequence[str]) -> Iterator[pathlib.Path]:
        """Give a folder to write to; what is in it goes in place if the block succeeds.

        The last of the names is put in place last: without it nothing is taken for whole.
        """
        self._tidy(names)
        self._partial.mkdir(parents=True, exist_ok=True)
        try:
            yield self._partial
            for name in names:
                self._put_in_place(name)
        except (InfrastructureError, OSError):
            raise  # what is whole is of use to whoever tries again
        except BaseException:
            self._remove()
            raise
        self._remove()

    def holds(self, name: str, size: int, digest: Digest) -> bool:
        """Tell whether a file is whole already, in place or about to be put there."""
        return any(
            path.is_file()
            and not path.is_symlink()
            and path.stat().st_size == size
            and digests.of_file(path) == digest
            for path in (self._partial / name, self.folder / name)
        )

    def discard(self, names: Iterable[str]) -> None:
        """Remove what is about to be written: it takes room, and may be read-only already."""
        for name in names:
            (self._partial / name).unlink(missing_ok=True)

    @property
    def _partial(self) -> pathlib.Path:
        return self.folder / _PARTIAL

    def _put_in_place(self, name: str) -> None:
        part = self._partial / name
        if part.exists():  # else it is in place since before
            part.chmod(0o444)
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(part, self.folder / name)

    def _tidy(self, names: Sequence[str]) -> None:
        """Remove what somebody who was killed left, but for files that may be whole."""
        for path in sorted(self._partial.rglob("*"), reverse=True):
            name = path.relative_to(self._partial).as_posix()
            if path.is_symlink() or (not path.is_dir() and name not in names):
                path.unlink()
            elif path.is_dir() and not any(other.startswith(f"{name}/") for other in names):
                shutil.rmtree(path)

    def _remove(self) -> None:
        shutil.rmtree(self._partial, ignore_errors=True)

    def _release(self) -> str | None:
        """Return which release lies there; None if none does, or it cannot be told."""
        try:
            found = json.loads((self.folder / OPENED).read_bytes())
            return str(found["uri"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def _not_empty(self, path: pathlib.Path, problem: str) -> UserError:
        return UserError(
            f"{path}: {problem} release {self.uri}; unseal into an empty folder",
            code="folder-not-empty",
        )
