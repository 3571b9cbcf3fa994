"""Scan a folder: every file is told by its kind and judged as such; nothing is ever loaded."""

import contextlib
import json
import mmap
import pathlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from components.foundation.errors import UserError
from components.foundation.formats import saved_graph
from components.foundation.formats.wire import Malformed
from components.release.scan_model import archives, kinds, onnx_graph, safetensors, tree
from components.release.scan_model.containers import Judge
from components.release.scan_model.declared import Declared
from components.release.scan_model.finding import Finding, Rule, shown
from components.release.scan_model.kinds import Kind
from components.release.scan_model.limits import DEFAULT, Limits
from components.release.scan_model.tree import Entry

_EXPORT = "leave it out, export it to ONNX, or save it as safetensors"


@dataclass(slots=True)
class Scan:
    """What a folder holds.

    Attributes:
        folder: where it lies.
        declared: what the model says of itself.
        limits: how much is read.
        findings: everything that was found, of refused and of noted files.
        files: every plain file and what it is.
        counts: how many operators, tensors and pickles were judged.
        pickled: files that hold pickles, for other scanners to judge as well.
    """

    folder: pathlib.Path
    declared: Declared
    limits: Limits
    findings: list[Finding] = field(default_factory=list)
    files: dict[str, Kind] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    pickled: list[str] = field(default_factory=list)

    def find(self, file: str, rule: Rule, says: str) -> None:
        self.findings.append(Finding(file, rule, says))

    @property
    def refused(self) -> list[Finding]:
        return sorted({finding for finding in self.findings if finding.refuses})

    @property
    def notes(self) -> list[Finding]:
        return sorted({finding for finding in self.findings if not finding.refuses})


def scan(folder: pathlib.Path, declared: Declared, limits: Limits = DEFAULT) -> Scan:
    """Scan every file of a folder."""
    found = Scan(folder, declared, limits)
    listed = tree.read(folder, limits)
    found.findings += listed.findings
    found.findings += declared.findings()
    found.counts["bytes"] = listed.size
    sizes = {entry.name: entry.size for entry in listed.files}
    for entry in listed.files:
        found.files[entry.name] = kinds.of(entry.name, _head(entry))
    graphs = [entry for entry in listed.files if found.files[entry.name] is Kind.ONNX]
    weights = {name for entry in graphs for name in _scan_graph(found, entry, sizes)}
    for entry in listed.files:
        if entry.name in weights:
            _scan_weights(found, entry)
        elif entry not in graphs:
            _scan_file(found, entry)
    return found


def _head(entry: Entry) -> bytes:
    with entry.path.open("rb") as file:
        return file.read(kinds.HEAD)


@contextlib.contextmanager
def mapped(path: pathlib.Path) -> Iterator[memoryview]:
    """Lend a file's bytes where they lie on disk."""
    with path.open("rb") as file:
        if not path.stat().st_size:
            yield memoryview(b"")
            return
        lent = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        view = memoryview(lent)
        try:
            yield view
        finally:
            # A view that an error on its way out still holds is given back with the error.
            with contextlib.suppress(BufferError):
                view.release()
                lent.close()


def _scan_graph(found: Scan, entry: Entry, sizes: dict[str, int]) -> set[str]:
    """Judge a graph, and return the files that its weights lie in."""
    if entry.size > found.limits.graph:
        found.find(entry.name, Rule.SIZE, f"{entry.size} bytes, at most {found.limits.graph}")
        return set()
    with _told(found, entry), mapped(entry.path) as data:
        domains = found.declared.domains
        graph = onnx_graph.scan(entry.name, data, domains=domains, sizes=sizes)
        found.findings += graph.findings
        found.counts.update(operators=graph.operators, tensors=graph.tensors)
        return {span.file for span in graph.spans}
    return set()


def _scan_weights(found: Scan, entry: Entry) -> None:
    """Weights are any bytes; only what would run, were it started, is none."""
    if kinds.is_executable(_head(entry), loose=False):
        found.find(entry.name, Rule.EXECUTABLE, "begins like a program; export the weights again")
    found.files[entry.name] = Kind.WEIGHTS


def _scan_file(found: Scan, entry: Entry) -> None:
    kind = found.files[entry.name]
    if kinds.disguised(entry.name, kind):
        found.find(entry.name, Rule.DISGUISED, f"is a {kind} by its content, another by its name")
    if entry.executable and kind not in {Kind.EXECUTABLE, Kind.SOURCE}:
        found.find(entry.name, Rule.NOTE, "may be executed by its mode; its content is no program")
    with _told(found, entry):
        _JUDGES.get(kind, _unknown)(found, entry)


@contextlib.contextmanager
def _told(found: Scan, entry: Entry) -> Iterator[None]:
    """Turn what a file is not into a finding."""
    try:
        yield
    except archives.TooMuch as error:
        found.find(entry.name, Rule.BOMB, f"{error}")
    except Malformed as error:
        found.find(entry.name, Rule.BROKEN, f"is no {found.files[entry.name]}: {error}")
    except UserError as error:
        found.find(entry.name, Rule.OPERATOR, str(error).removeprefix(f"{entry.path}: "))


def _saved_model(found: Scan, entry: Entry) -> None:
    found.counts["operators"] += saved_graph.check(entry.path.parent)


def _safetensors(found: Scan, entry: Entry) -> None:
    with mapped(entry.path) as data:
        found.counts["tensors"] += safetensors.check(data)


def _json(found: Scan, entry: Entry) -> None:
    _bounded(entry, found.limits.text)
    try:
        json.loads(entry.path.read_bytes(), object_pairs_hook=safetensors.once)
    except (ValueError, RecursionError) as error:
        raise Malformed(shown(str(error))) from error


def _text(found: Scan, entry: Entry) -> None:
    _bounded(entry, found.limits.text)
    try:
        text = entry.path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise Malformed("not UTF-8") from error
    if "\0" in text:
        raise Malformed("has a NUL in it")


def _bounded(entry: Entry, most: int) -> None:
    if entry.size > most:
        raise Malformed(f"{entry.size} bytes, at most {most} are read")


def _variables(found: Scan, entry: Entry) -> None:
    found.counts["weights"] += 1


def _executable(found: Scan, entry: Entry) -> None:
    found.find(entry.name, Rule.EXECUTABLE, "is a program; a model folder holds none")


def _source(found: Scan, entry: Entry) -> None:
    found.find(entry.name, Rule.CODE, "is source or byte code; a model is served without its own")


def _unknown(found: Scan, entry: Entry) -> None:
    found.find(
        entry.name, Rule.UNKNOWN, f"is of no kind that is served; leave it out, or {_EXPORT}"
    )
    with mapped(entry.path) as data:
        _judge(found, entry).embedded(entry.name, data)


def _container(found: Scan, entry: Entry) -> None:
    judge = _judge(found, entry)
    with mapped(entry.path) as data:
        judge.whole(entry.name, data, found.files[entry.name])


def _judge(found: Scan, entry: Entry) -> Judge:
    return Judge(found, entry.name, found.declared.pickles.get(entry.name), found.limits)


_JUDGES: dict[Kind, Callable[[Scan, Entry], Any]] = {
    Kind.SAVED_MODEL: _saved_model,
    Kind.VARIABLES: _variables,
    Kind.SAFETENSORS: _safetensors,
    Kind.JSON: _json,
    Kind.TEXT: _text,
    Kind.EXECUTABLE: _executable,
    Kind.SOURCE: _source,
    **dict.fromkeys(
        (Kind.NUMPY, Kind.TORCH_PROGRAM, Kind.ZIP, Kind.TAR, Kind.COMPRESSED, Kind.PICKLE),
        _container,
    ),
    Kind.HDF5: _container,
}
