"""How much of a folder is read before it is refused as too much."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one scan.

    Attributes:
        files: in the folder, and in any archive of it.
        depth: of folders, and of archives in archives.
        total: bytes of all files of the folder.
        graph: bytes of a graph's own file; weights beside it do not count.
        pickle: bytes of one pickle, and of one member of an archive that has to be unpacked.
        inflated: bytes that the archives of one file may unpack to.
        ratio: how many times larger than its archive a member may be, from 1 MiB on.
        text: bytes of a JSON or text file.
    """

    files: int = 10_000
    depth: int = 12
    total: int = 1 << 38
    graph: int = 1 << 31
    pickle: int = 1 << 28
    inflated: int = 1 << 36
    ratio: int = 200
    text: int = 1 << 26


DEFAULT = Limits()
