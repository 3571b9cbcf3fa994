"""A process with a spool, for tests to kill: `process.py DEED FOLDER`."""

import os
import pathlib
import signal
import sys
import time

from inference.observer.disk import Disk
from inference.observer.spool import Spool
from tests.inference.observer.observed import QUICK, SOURCE, Dropped, prediction


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Killing:
    """A sink whose process dies between its answer and what follows from it."""

    destination = "kept"

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder

    def write(self, name: str, data: bytes) -> None:
        (self.folder / name).write_bytes(data)
        die()


def main(deed: str, folder: pathlib.Path) -> None:
    if deed == "sends":
        sink = Killing(folder)
        spool = Spool.open(SOURCE, sink, folder / "spool", dropped=Dropped(), limits=QUICK)
        spool.add(prediction(5))
        time.sleep(30)
    disk = Disk.at(folder, "kept", limit=1 << 20)
    match deed:
        case "lives":
            sealed(disk)
            print("up", flush=True)
            input()
        case "writes":
            sealed(disk)
            disk.append(b"b\nc\n", rows=2)
        case "tears":
            disk.append(b"a\nb\ntorn", rows=2)
        case "tears all":
            disk.append(b"torn", rows=0)
    die()


def sealed(disk: Disk) -> None:
    disk.append(b"a\n", rows=1)
    disk.seal()


if __name__ == "__main__":
    main(sys.argv[1], pathlib.Path(sys.argv[2]))
