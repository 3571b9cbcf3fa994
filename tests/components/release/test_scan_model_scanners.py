"""Ours beside picklescan and modelscan, on the same hostile files; each runs for real."""

import pathlib
import stat
import sys

import pytest

from components.release.scan_model import judge, scanners
from components.release.scan_model.declared import Declared
from tests.benchmarks.serving import environments
from tests.components.release import scan_samples as samples
from tests.components.release.scan_samples import SAID, refusals

OURS = pathlib.Path(sys.executable).parent


def write_corpus(folder: pathlib.Path) -> list[str]:
    """Write each hostile pickle as a file of its own, and one in every container."""
    folder.mkdir()
    hostile = samples.pickles(folder.parent / "canary")
    for name, content in hostile.items():
        (folder / f"{name.replace(' ', '_')}.pkl").write_bytes(content)
    for name, content in samples.archives(hostile["stack global"]).items():
        (folder / name).write_bytes(content)
    return sorted(path.name for path in folder.iterdir())


def said_by(name: str, program: pathlib.Path, folder: pathlib.Path, files: list[str]) -> set[str]:
    """Return the files that another scanner complains of."""
    found = scanners.findings(folder, files, {name: program})
    return {f.file for f in found if "failed" not in f.says and "cannot be read" not in f.says}


def test_picklescan_is_asked_and_its_findings_are_merged(tmp_path: pathlib.Path) -> None:
    (tmp_path / "x.pkl").write_bytes(samples.calling("os", "system", "x"))

    programs = scanners.installed(OURS)
    verdict, found = judge.judge(tmp_path, SAID, programs=programs)

    assert verdict.evidence["scanners"] == ["opcodes", "picklescan"]
    assert "picklescan: dangerous import os system" in {f.says for f in found.refused}


def test_a_clean_declared_pickle_is_refused_where_another_scanner_complains(
    tmp_path: pathlib.Path,
) -> None:
    folder, program = tmp_path / "model", tmp_path / "picklescan"
    folder.mkdir()
    (folder / "x.pkl").write_bytes(b"\x80\x04N.")
    program.write_text("#!/bin/sh\necho \"$2: dangerous import 'a b' FOUND\"; exit 1\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    said = Declared(SAID.provenance, SAID.tables, pickles={"x.pkl": frozenset()})

    alone, _ = judge.judge(folder, said)
    verdict, _ = judge.judge(folder, said, programs=scanners.installed(tmp_path))

    assert alone.passes
    assert verdict.reason == "x.pkl: scanner: picklescan: dangerous import a b"


@pytest.mark.parametrize(
    "script",
    ["exit 2", "kill -9 $$", "echo nonsense; exit 7"],
    ids=["fails", "is killed", "talks nonsense"],
)
def test_a_scanner_that_fails_is_no_consent(tmp_path: pathlib.Path, script: str) -> None:
    program = tmp_path / "modelscan"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    (tmp_path / "x.pkl").write_bytes(b"\x80\x04N.")

    [said] = scanners.findings(tmp_path, ["x.pkl"], scanners.installed(tmp_path))

    assert said.says.startswith("modelscan: failed with exit code")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["picklescan", "modelscan"])
def test_ours_finds_whatever_another_scanner_finds(name: str, tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "corpus"
    files = write_corpus(folder)
    beside = environments.python("peers-modelscan").parent if name == "modelscan" else OURS

    theirs = said_by(name, scanners.installed(beside)[name], folder, files)
    ours = {line.partition(":")[0].partition("!")[0] for line in refusals(folder)}

    assert len(theirs) > 20, theirs  # the other scanner did find most of them
    assert theirs <= ours == set(files)
    assert not (tmp_path / "canary").exists()
