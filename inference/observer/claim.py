"""A folder that one process has for itself, for as long as it lives.

The claim is a lock on the folder that ends with the process, however that ends; so what a
dead process left can be told from what a living one is at work on.
"""

import contextlib
import fcntl
import os
import pathlib
import time
import uuid
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Claim:
    """A claimed folder; the open descriptor is the claim."""

    folder: pathlib.Path
    descriptor: int

    @classmethod
    def new(cls, root: pathlib.Path) -> Self:
        """Make a folder of our own; raises OSError where that cannot be."""
        while True:
            folder = root / f"{time.time_ns()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
            folder.mkdir(mode=0o700)
            # Between the two, somebody may have taken it for a dead process's, and removed it.
            if claim := cls.taken(folder):
                return claim

    @classmethod
    def taken(cls, folder: pathlib.Path) -> Self | None:
        """Claim a folder, unless a living process has it or it is gone."""
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if _locked(descriptor, folder):
            return cls(folder, descriptor)
        os.close(descriptor)
        return None

    @classmethod
    def orphans(cls, root: pathlib.Path, *, known: set[pathlib.Path]) -> list[Self]:
        """Claim every folder whose process is dead."""
        folders = [path for path in sorted(root.iterdir()) if path not in known]
        return [claim for claim in map(cls.taken, folders) if claim is not None]

    def release(self) -> None:
        """Give the folder up: removed if it is empty, else for whoever claims it."""
        with contextlib.suppress(OSError):
            self.folder.rmdir()
        os.close(self.descriptor)


def _locked(descriptor: int, folder: pathlib.Path) -> bool:
    """Lock a folder if nobody has it; what was removed meanwhile is no folder to claim."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(descriptor), folder.stat())
    except (BlockingIOError, FileNotFoundError):
        return False
    except OSError:
        os.close(descriptor)
        raise
