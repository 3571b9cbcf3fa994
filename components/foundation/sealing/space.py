"""Whether a folder has room for a release, asked before anything is fetched, and taken."""

import os
import pathlib

from components.foundation.errors import UserError

_SLACK = 1 << 20  # folders, the last blocks of files, release.json and model.sig
_CGROUP = pathlib.Path("/sys/fs/cgroup")


def check(folder: pathlib.Path, size: int, *, cgroup: pathlib.Path = _CGROUP) -> None:
    """Refuse what would not fit.

    On tmpfs files lie in memory, and count against the container's limit.

    Args:
        folder: where the files go; it need not be there yet.
        size: their bytes.
        cgroup: where the limit is told (cgroup v2).

    Raises:
        UserError: the volume, or what is left of the container's memory, is smaller.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    volume = os.statvfs(there)
    free = volume.f_bavail * volume.f_frsize
    needed = size + _SLACK
    if needed > free:
        raise _no_room(folder, needed, free, "raise its sizeLimit")
    if _in_memory(there) and (left := _memory_left(cgroup)) is not None and needed > left:
        raise _no_room(
            folder,
            needed,
            left,
            "it is tmpfs, so raise the container's memory limit, or use a disk",
        )


def reserve(file: int, size: int) -> None:
    """Take the room of one file: where it is gone meanwhile is told first, and writing is faster.

    Args:
        file: the number of a file that is open to be written.
        size: its bytes.
    """
    if size and hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)


def _no_room(folder: pathlib.Path, needed: int, free: int, cure: str) -> UserError:
    return UserError(
        f"{folder}: the release needs {needed} bytes, {free} are free; {cure}",
        code="folder-too-small",
    )


def _in_memory(folder: pathlib.Path) -> bool:
    """Tell tmpfs by the mount that a folder lies on (proc_pid_mountinfo(5))."""
    resolved, kinds = folder.resolve(), dict[pathlib.Path, str]()
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        mount, _, kind = line.partition(" - ")
        kinds[pathlib.Path(mount.split()[4])] = kind.split()[0]
    return next((kinds[at] for at in (resolved, *resolved.parents) if at in kinds), "") == "tmpfs"


def _memory_left(cgroup: pathlib.Path) -> int | None:
    """Return what the container may still take; None where no limit is told."""
    try:
        most = int((cgroup / "memory.max").read_text())
        used = int((cgroup / "memory.current").read_text())
        return most - used + _droppable(cgroup / "memory.stat")
    except (OSError, ValueError):  # another version, or "max"
        return None


def _droppable(told: pathlib.Path) -> int:
    """Return what of the memory in use is copies of files on disks, which make way."""
    lines = told.read_text().splitlines() if told.exists() else []
    return next((int(line.split()[1]) for line in lines if line.startswith("inactive_file ")), 0)
