"""The folder itself: names that deceive, links, devices, and how much there is."""

import os
import pathlib
import stat
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from components.release.scan_model.finding import Finding, Rule, shown
from components.release.scan_model.limits import Limits

_LONGEST_NAME = 200
_DECEIVING = {"Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp"}  # control, format, unassigned, surrogates
_RESERVED = frozenset({"con", "prn", "aux", "nul", "release.json"})


@dataclass(frozen=True, slots=True)
class Entry:
    """One regular file: its path below the folder, in POSIX form, and its size."""

    name: str
    path: pathlib.Path
    size: int
    executable: bool


@dataclass(frozen=True, slots=True)
class Tree:
    """What lies in a folder."""

    files: tuple[Entry, ...]
    findings: tuple[Finding, ...]

    @property
    def size(self) -> int:
        return sum(entry.size for entry in self.files)


def read(folder: pathlib.Path, limits: Limits) -> Tree:
    """List a folder without following a link or opening a file."""
    files, findings, names = list[Entry](), list[Finding](), list[str]()
    for item, name in _below(folder, limits):
        if item is None:
            findings.append(
                Finding(
                    name,
                    Rule.SIZE,
                    f"more than {limits.files} files, or deeper than {limits.depth} folders",
                )
            )
            break
        names.append(name)
        findings += _deceives(name)
        found = item.stat(follow_symlinks=False)
        if stat.S_ISREG(found.st_mode):
            files.append(_entry(item, name, found))
        elif not stat.S_ISDIR(found.st_mode):
            findings.append(_no_file(name, found.st_mode))
    findings += _twins(names)
    tree = Tree(tuple(files), tuple(findings))
    if tree.size <= limits.total:
        return tree
    much = Finding(".", Rule.SIZE, f"{tree.size} bytes, at most {limits.total} are scanned")
    return Tree(tree.files, (*tree.findings, much))


def deceives(name: str) -> Iterator[str]:
    """Yield what is wrong with one part of a path, wherever it came from."""
    if name.startswith("."):
        yield "is hidden"
    if any(unicodedata.category(letter) in _DECEIVING for letter in name) or "\\" in name:
        yield "has a backslash, or letters that cannot be seen"
    if unicodedata.normalize("NFC", name) != name:
        yield "is not in composed Unicode form (NFC)"
    if name.endswith((" ", ".")) or name.startswith(" ") or ":" in name:
        yield "means another file on other systems"
    if name.casefold().partition(".")[0] in _RESERVED or name.casefold() in _RESERVED:
        yield "is a reserved name"
    if len(name.encode("utf-8", "surrogateescape")) > _LONGEST_NAME:
        yield f"is longer than {_LONGEST_NAME} bytes"


def twins(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield pairs of paths that some file system or some reader takes for one."""
    alike = defaultdict[str, list[str]](list)
    for name in names:
        alike[unicodedata.normalize("NFKC", name).casefold()].append(name)
    for same in alike.values():
        yield from ((same[0], other) for other in same[1:])


def _below(folder: pathlib.Path, limits: Limits) -> "Iterator[tuple[os.DirEntry[str] | None, str]]":
    waiting, seen = [(str(folder), "", 0)], 0
    while waiting:
        path, prefix, depth = waiting.pop()
        with os.scandir(path) as items:
            for item in items:
                seen += 1
                if seen > limits.files or depth > limits.depth:
                    yield None, _printable(prefix or ".")
                    return
                yield item, _printable(prefix + item.name)
                if item.is_dir(follow_symlinks=False):
                    waiting.append((item.path, f"{prefix}{item.name}/", depth + 1))


def _printable(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _entry(item: "os.DirEntry[str]", name: str, found: os.stat_result) -> Entry:
    return Entry(name, pathlib.Path(item.path), found.st_size, bool(found.st_mode & 0o111))


def _deceives(name: str) -> Iterator[Finding]:
    for why in deceives(name.rpartition("/")[2]):
        yield Finding(shown(name), Rule.NAME, f"the name {why}; rename the file")


def _too_many(name: str, limits: Limits) -> Finding:
    says = f"more than {limits.files} files, or deeper than {limits.depth} folders"
    return Finding(name, Rule.SIZE, f"{says}; a model folder holds its model")


def _no_file(name: str, mode: int) -> Finding:
    if stat.S_ISLNK(mode):
        return Finding(name, Rule.LINK, "is a link; put the file itself in its place")
    return Finding(name, Rule.LINK, "is a device, a pipe or a socket; expected plain files")


def _twins(names: Iterable[str]) -> Iterator[Finding]:
    for first, other in twins(names):
        yield Finding(shown(other), Rule.NAME, f"is the twin of {shown(first)}: rename one of them")
