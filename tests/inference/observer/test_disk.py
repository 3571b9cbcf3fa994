import pathlib
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from inference.observer.claim import Claim
from inference.observer.disk import Disk
from inference.observer.shelf import part_name, rows_in
from inference.observer.spool import Spool
from tests.inference.observer.observed import (
    QUICK,
    SOURCE,
    Dropped,
    Kept,
    ids_in,
    on_disk,
    wait_until,
)

ROOT = pathlib.Path(__file__).parents[3]
LIMIT = 1 << 20


def at(folder: pathlib.Path) -> Disk:
    return Disk.at(folder, "kept", limit=LIMIT)


def begun(deed: str, folder: pathlib.Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.inference.observer.process", deed, str(folder)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)


def dies(folder: pathlib.Path, deed: str) -> None:
    """Run a process that does something in a folder and is killed."""
    with begun(deed, folder) as process:
        assert process.wait(30) == -signal.SIGKILL


@pytest.fixture
def process(tmp_path: pathlib.Path) -> Iterator["subprocess.Popen[str]"]:
    """A living process that has a part of one row below `tmp_path`."""
    with begun("lives", tmp_path) as process:
        assert process.stdout
        assert process.stdout.readline() == "up\n"
        yield process
        process.kill()


def test_a_name_says_how_many_rows_there_are() -> None:
    assert rows_in(part_name(1, "abc", 17)) == 17


def test_rows_are_appended_sealed_read_and_forgotten(tmp_path: pathlib.Path) -> None:
    disk = at(tmp_path)
    assert disk.append(b"1\n2\n", rows=2)
    assert disk.append(b"3\n", rows=1)
    assert disk.oldest() is None
    disk.seal()

    part = disk.oldest()
    assert part is not None
    assert (part.rows, disk.read(part), disk.left().kept) == (3, b"1\n2\n3\n", 3)
    disk.done(part)
    assert disk.oldest() is None
    disk.release()
    assert on_disk(tmp_path) == 0


def test_the_oldest_part_comes_first(tmp_path: pathlib.Path) -> None:
    disk = at(tmp_path)
    for number in range(5):
        disk.append(b"%d\n" % number, rows=1)
        disk.seal()

    seen = []
    while part := disk.oldest():
        seen.append(disk.read(part))
        disk.done(part)
    assert seen == [b"0\n", b"1\n", b"2\n", b"3\n", b"4\n"]


def test_what_a_dead_process_left_is_adopted_once(tmp_path: pathlib.Path) -> None:
    dies(tmp_path, "writes")
    one, other = at(tmp_path), at(tmp_path)

    assert (one.adopt(), other.adopt()) == (0, 0)
    assert (one.left().kept, other.left().kept) == (3, 0)


def test_a_torn_line_is_cut_off_and_counted(tmp_path: pathlib.Path) -> None:
    dies(tmp_path, "tears")
    disk = at(tmp_path)

    assert disk.adopt() == 1
    part = disk.oldest()
    assert part is not None
    assert (part.rows, disk.read(part)) == (2, b"a\nb\n")
    assert disk.adopt() == 0


def test_a_part_with_nothing_whole_in_it_is_no_part(tmp_path: pathlib.Path) -> None:
    dies(tmp_path, "tears all")
    disk = at(tmp_path)

    assert disk.adopt() == 1
    assert disk.oldest() is None
    assert on_disk(tmp_path) == 0


def test_what_a_living_process_has_is_left_alone(
    tmp_path: pathlib.Path, process: "subprocess.Popen[str]"
) -> None:
    disk = at(tmp_path)
    disk.adopt()
    assert disk.oldest() is None

    process.kill()
    process.wait()
    disk.adopt()
    assert disk.left().kept == 1


def test_the_limit_counts_what_others_have(
    tmp_path: pathlib.Path, process: "subprocess.Popen[str]"
) -> None:
    disk = Disk.at(tmp_path, "kept", limit=4096 + 100)

    assert disk.append(b"x" * 100, rows=1)
    assert not disk.append(b"x", rows=1)


def test_of_many_claimants_exactly_one_gets_a_folder(tmp_path: pathlib.Path) -> None:
    ready = threading.Barrier(4)

    def taken(folder: pathlib.Path) -> Claim | None:
        ready.wait()
        return Claim.taken(folder)

    with ThreadPoolExecutor(4) as pool:
        for number in range(50):
            folder = tmp_path / str(number)
            folder.mkdir()
            claims = [one for one in pool.map(taken, [folder] * 4) if one is not None]
            assert len(claims) == 1
            claims[0].release()


def test_a_folder_that_was_removed_meanwhile_is_no_claim(tmp_path: pathlib.Path) -> None:
    claim = Claim.new(tmp_path)
    claim.release()

    assert Claim.taken(claim.folder) is None


def test_others_cannot_read_what_waits(tmp_path: pathlib.Path) -> None:
    disk = at(tmp_path)
    disk.append(b"1\n", rows=1)

    modes = {path.stat().st_mode & 0o077 for path in tmp_path.rglob("*")}
    assert modes == {0}


def test_a_part_sent_before_its_process_died_is_sent_again_as_it_was(
    tmp_path: pathlib.Path, dropped: Dropped
) -> None:
    dies(tmp_path, "sends")
    [sent] = tmp_path.glob("part-*.jsonl")

    kept = Kept()
    spool = Spool.open(SOURCE, kept, tmp_path / "spool", dropped=dropped, limits=QUICK)
    wait_until(lambda: bool(kept.parts))
    spool.close()

    assert kept.parts == {sent.name: sent.read_bytes()}
    assert ids_in(kept.parts.values()) == [f"x-{row}" for row in range(5)]
    assert on_disk(tmp_path / "spool") == 0
