"""How fast files are sealed and opened, beside others, on this machine: `make bench-sealing`.

Ours, KServe's way (JWE by jwcrypto), age (pyrage), Tink's streaming AEAD, the OpenSSF's
model-signing (which signs only) and a plain copy take turns round by round on one core, each
turn a process of its own; ours on all cores too. Then whole releases, through the object store of
a laptop. Prints medians with their spread; nothing here asserts a time.

    python -m tests.benchmarks.bench_sealing [--sizes 1,64,1024,4096] [--rounds 5] [--quick]
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.serving import environments, machine

_WORKER = pathlib.Path(__file__).parent / "sealing/worker.py"
_MIB = 1 << 20
_OURS = ("falaj", "falaj, all cores")
_PEERS = ("copy", "age", "tink", "model-signing", "jwe")
_MOST = {"jwe": 256}  # MiB: it takes seven times the file in memory
_LARGE = 1024  # MiB
_WHY_NOT = "needs about 7 times the file in memory"
_SHOWN = ("cryptography", "blake3", "jwcrypto", "pyrage", "tink", "model-signing")


Whole = Mapping[str, Mapping[str, float]]  # by what was done: what that took


@dataclass(frozen=True, slots=True)
class Turn:
    """One kind's one file; seconds, processor seconds and peak bytes by step."""

    kind: str
    size: int
    steps: Mapping[str, Mapping[str, float]]


def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    sizes, rounds = ([1, 64], 1) if options.quick else (options.sizes, options.rounds)
    whole = min([options.whole, *sizes[-1:]])
    facts = _facts()
    print(json.dumps(facts, indent=1), flush=True)
    turns: list[Turn] = []
    with tempfile.TemporaryDirectory(dir=options.scratch, prefix="falaj-bench-") as scratch:
        for size in sizes:
            found = list(_round_by_round(size, _rounds(size, rounds), pathlib.Path(scratch)))
            print(*_table(size, found), sep="\n", flush=True)
            turns += found
        releases = _releases(whole, _rounds(_LARGE, rounds), pathlib.Path(scratch))
    print(*_whole(whole, releases), sep="\n")
    path = _write(options.out, {**facts, "releases": releases}, turns)
    print(f"\n{rounds} rounds, fewer of large files; on one core but where it says more: {path}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.bench_sealing",
        description="Compare sealing and opening with others on this machine.",
    )
    add = parser.add_argument
    add("--sizes", type=_sizes, default=[1, 64, 256, 1024, 4096], help="of files, MiB")
    add("--rounds", type=int, default=5, help="turns of each (default 5)")
    add("--whole", type=int, default=512, help="MiB of whole releases (default 512)")
    add("--scratch", type=pathlib.Path, help="where files go: three times the largest size")
    add("--out", type=pathlib.Path, default=pathlib.Path("out"), help="where the JSON file goes")
    add("--quick", action="store_true", help="one turn of small files: does it work at all?")
    return parser


def _sizes(text: str) -> list[int]:
    return [int(size) for size in text.split(",")]


def _rounds(size: int, rounds: int) -> int:
    """Take fewer turns where each takes long, so that all take some minutes."""
    return max(1, rounds // 2) if size >= _LARGE else rounds


def _facts() -> dict[str, Any]:
    """Say what the numbers were measured on."""
    versions = environments.versions(environments.python("peers-sealing"))
    ours = environments.versions(pathlib.Path(sys.executable))
    return {
        "processor": machine.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "load_before": os.getloadavg()[0],
        "python": sys.version.split()[0],
        "peers": {name: versions[name] for name in _SHOWN if name in versions},
        "falaj": {name: ours[name] for name in ("cryptography", "blake3")},
    }


def _round_by_round(size: int, rounds: int, scratch: pathlib.Path) -> Iterator[Turn]:
    folder = scratch / "model"
    folder.mkdir()
    with (folder / "model").open("wb") as file:
        random = os.urandom(_MIB)
        for _ in range(size):
            file.write(random)
    for _ in range(rounds):
        for kind in (*_OURS, *_PEERS):
            if size <= _MOST.get(kind, size):
                yield _turn(kind, size, folder / "model", scratch / "work")
    shutil.rmtree(folder)


def _turn(kind: str, size: int, source: pathlib.Path, work: pathlib.Path) -> Turn:
    """Run one turn in a process of its own, on the last core unless it is to have all."""
    peer = environments.python("peers-sealing") if kind not in _OURS else sys.executable
    cores = sorted(os.sched_getaffinity(0))[0 if kind == _OURS[1] else -1 :]
    work.mkdir()
    on = ",".join(map(str, cores))
    command = [str(peer), str(_WORKER), kind.split(",")[0], str(source), str(work), on]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{kind}, {size} MiB: {done.stderr[-2000:]}")
    opened = work / "opened"
    if opened.exists() and opened.stat().st_size != source.stat().st_size:
        raise SystemExit(f"{kind}, {size} MiB: what was opened is not what was sealed")
    shutil.rmtree(work)
    return Turn(kind, size, json.loads(done.stdout))


def _table(size: int, turns: Sequence[Turn]) -> Iterator[str]:
    yield f"\n{size} MiB: GB/s, median (lowest to highest); GB a processor second; peak MiB"
    for kind in (*_OURS, *_PEERS):
        mine = [turn for turn in turns if turn.kind == kind]
        if size > _MOST.get(kind, size):
            yield f"  {kind:16} stopped at {_MOST[kind]} MiB: {_WHY_NOT}"
        for step in ("seal", "open") if mine else ():
            yield f"  {kind:16} {step}  {_row(size, [turn.steps[step] for turn in mine])}"
    for step in ("seal", "open"):
        for kind in _PEERS:
            if ratios := _ratios(turns, kind, step):
                low, high = min(ratios), max(ratios)
                middle = statistics.median(ratios)
                yield f"  {step}: falaj is {middle:.2f} ({low:.2f} to {high:.2f}) times {kind}"


def _row(mib: int, took: Sequence[Mapping[str, float]]) -> str:
    size = mib * _MIB / 1e9
    speeds = [size / one["seconds"] for one in took]
    worked = statistics.median(size / max(one["cpu"], 1e-6) for one in took)
    peak = statistics.median(one["peak"] for one in took) / _MIB
    spread = f"{statistics.median(speeds):6.2f} ({min(speeds):.2f} to {max(speeds):.2f})"
    return f"{spread}  {worked:6.2f}  {peak:8.1f}"


def _releases(mib: int, rounds: int, scratch: pathlib.Path) -> list[Whole]:
    """Seal and open whole releases in a process of its own, on every core."""
    command = [sys.executable, "-m", "tests.benchmarks.sealing.releases"]
    done = subprocess.run(
        [*command, str(mib), str(rounds), str(scratch)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"releases, {mib} MiB: {done.stderr[-2000:]}")
    found: list[Whole] = json.loads(done.stdout)
    return found


def _whole(mib: int, releases: Sequence[Whole]) -> Iterator[str]:
    yield (
        f"\nreleases of {mib} MiB on all cores, which the store's server shares: GB/s, median "
        "(lowest to highest); GB a processor second of ours; peak MiB"
    )
    for name in releases[0]:
        took = [one[name] for one in releases]
        if "each" in took[0]:
            each = [one["each"] * 1e3 for one in took]
            middle = statistics.median(each)
            yield f"  {name:32} {middle:.1f} ms ({min(each):.1f} to {max(each):.1f})"
        else:
            yield f"  {name:32} {_row(mib, took)}"


def _ratios(turns: Sequence[Turn], kind: str, step: str) -> list[float]:
    """How many times as fast ours is as another, turn by turn."""
    ours = [turn.steps[step]["seconds"] for turn in turns if turn.kind == "falaj"]
    theirs = [turn.steps[step]["seconds"] for turn in turns if turn.kind == kind]
    return [their / our for our, their in zip(ours, theirs, strict=False)]


def _write(folder: pathlib.Path, facts: Mapping[str, Any], turns: Sequence[Turn]) -> pathlib.Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "bench-sealing.json"
    values = [{"kind": t.kind, "mib": t.size, **t.steps} for t in turns]
    path.write_text(json.dumps({**facts, "turns": values}, indent=1) + os.linesep)
    return path


if __name__ == "__main__":
    raise SystemExit(main())
