"""How fast the inference server is beside others, on this machine: `make bench-serving`.

KServe's ModelServer, MLServer, a bare Starlette application, a bare loop over ONNX Runtime and a
raw socket take turns with ours round by round, so that noise hits all; every server has one core,
the load another.
Prints medians with their spread, and writes every value to a JSON file. Nothing here asserts
a time.

    python -m tests.benchmarks.bench_serving [--quick] [--only small,overload] [--out FOLDER]
"""

import argparse
import datetime
import json
import os
import pathlib
import sys
import tempfile
from collections.abc import Sequence

from tests.benchmarks.serving import machine
from tests.benchmarks.serving.report import Result, table
from tests.benchmarks.serving.scenarios import SCENARIOS, Bench
from tests.prerequisites import H2LOAD, WRK


def main(argv: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    for need in (WRK, H2LOAD):
        if not need.there:
            print(need.missing, file=sys.stderr)
            return 1
    facts, began = machine.facts(), datetime.datetime.now(datetime.UTC)
    print(*machine.lines(facts), sep="\n", flush=True)
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as scratch, machine.confined() as (ours, theirs):
        rounds, seconds = (1, 1.0) if options.quick else (options.rounds, options.seconds)
        bench = Bench(pathlib.Path(scratch), rounds, seconds, ours, theirs)
        for name in options.only:
            found = SCENARIOS[name](bench)
            print(file=sys.stderr)
            print(*table(found), sep="\n", flush=True)
            results += found
    took = (datetime.datetime.now(datetime.UTC) - began).total_seconds()
    path = _write(options.out, {"machine": facts, "rounds": rounds, "seconds": took}, results)
    print(f"\n{rounds} rounds of {seconds:g} s, {took / 60:.0f} minutes; every value: {path}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.bench_serving",
        description="Compare the inference server with others on this machine.",
    )
    add = parser.add_argument
    add("--only", type=_names, default=tuple(SCENARIOS), help=", ".join(SCENARIOS))
    add("--rounds", type=int, default=5, help="turns of each server (default 5)")
    add("--seconds", type=float, default=2.0, help="a turn's length (default 2)")
    add("--out", type=pathlib.Path, default=pathlib.Path("out"), help="where the JSON file goes")
    add("--quick", action="store_true", help="one short turn each: does it work at all?")
    return parser


def _names(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := set(names) - SCENARIOS.keys():
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}")
    return names


def _write(
    folder: pathlib.Path, about: dict[str, object], results: Sequence[Result]
) -> pathlib.Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "bench-serving.json"
    value = {**about, "results": [result.to_dict() for result in results]}
    path.write_text(json.dumps(value, indent=1) + os.linesep)
    return path


if __name__ == "__main__":
    raise SystemExit(main())
