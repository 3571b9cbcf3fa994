"""A release that does not fit is refused before it is fetched."""

import os
import pathlib

import pytest

from components.foundation.errors import UserError
from components.foundation.sealing import space

MEMORY = pathlib.Path("/dev/shm")  # noqa: S108 - a tmpfs that every Linux has


def free(folder: pathlib.Path) -> int:
    volume = os.statvfs(folder)
    return volume.f_bavail * volume.f_frsize


def limited(cgroup: pathlib.Path, most: str, current: int) -> pathlib.Path:
    cgroup.mkdir()
    (cgroup / "memory.max").write_text(f"{most}\n")
    (cgroup / "memory.current").write_text(f"{current}\n")
    return cgroup


def test_what_fits_passes(tmp_path: pathlib.Path) -> None:
    space.check(tmp_path / "not/there/yet", 1 << 20)


def test_what_is_larger_than_the_volume_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(UserError, match=r"the release needs \d+ bytes, \d+ are free; .*sizeLimit"):
        space.check(tmp_path, free(tmp_path) + 1)


def test_in_memory_the_containers_limit_counts(tmp_path: pathlib.Path) -> None:
    cgroup = limited(tmp_path / "cgroup", str(100 << 20), 90 << 20)

    space.check(MEMORY, 8 << 20, cgroup=cgroup)
    with pytest.raises(UserError, match=f"needs {11 << 20} bytes, {10 << 20} are free; .*tmpfs"):
        space.check(MEMORY, 10 << 20, cgroup=cgroup)


def test_what_the_kernel_may_drop_from_memory_counts_as_free(tmp_path: pathlib.Path) -> None:
    cgroup = limited(tmp_path / "cgroup", str(100 << 20), 90 << 20)
    (cgroup / "memory.stat").write_text(f"anon 1\nactive_file 7\ninactive_file {5 << 20}\n")

    space.check(MEMORY, 13 << 20, cgroup=cgroup)
    with pytest.raises(UserError, match=f"{15 << 20} are free"):
        space.check(MEMORY, 15 << 20, cgroup=cgroup)


@pytest.mark.parametrize("most", ["max", ""])
def test_without_a_limit_the_volume_decides(tmp_path: pathlib.Path, most: str) -> None:
    space.check(MEMORY, 10 << 20, cgroup=limited(tmp_path / "cgroup", most, 1 << 40))


def test_on_a_disk_the_limit_on_memory_does_not_count(tmp_path: pathlib.Path) -> None:
    disk = next(path for path in (tmp_path, *tmp_path.parents) if not space._in_memory(path))

    space.check(disk, 10 << 20, cgroup=limited(tmp_path / "cgroup", str(1 << 20), 0))
