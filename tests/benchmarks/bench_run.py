"""How much of the main job's time is the suite's own: `make bench-run`.

Runs the worked example, then the same data and model work by hand (see `by_hand.py`), checks
that both found the same, and prints seconds stage by stage. What has no counterpart by hand
(deployment under live traffic, whose time is waiting for requests) is listed apart. Nothing
here asserts a time.

    python -m tests.benchmarks.bench_run [--out FOLDER-OF-AN-EARLIER-RUN] [--months 12]
"""

import argparse
import collections
import math
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from components.foundation.storage import Address, NotFound
from examples.flights import world
from examples.flights.example import CANARY_MONTH, TRAIN_MONTHS
from pipelines.project import load
from pipelines.records import JobRecord, Records, RunRecord
from tests.benchmarks.by_hand import ByHand, Taken, timed

if TYPE_CHECKING:
    from components.foundation.storage import ObjectStore

_ROOT = pathlib.Path(__file__).parents[2]
_AUC_NOISE = 0.02  # other shuffles and other initial weights
_STAGES = {
    "Train with tensorflow": "train a first model, from sources",
    "Train with torch": "train a second model",
    "Score month": "score the months",
    "Monitor month": "monitor the months",
}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Compare the example with the same work by hand.")
    parser.add_argument("--out", type=pathlib.Path, help="an earlier run's folder; none: run now")
    parser.add_argument("--months", type=int, default=12, choices=range(CANARY_MONTH, 13))
    options = parser.parse_args(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with tempfile.TemporaryDirectory() as scratch:
        out = options.out or _run(pathlib.Path(scratch) / "out", options.months)
        records = Records(out / "laptop" / "runs")
        job = records.jobs.latest()
        runs = {
            stage.title: [records.runs.read(id) for id in stage.run_ids] for stage in job.stages
        }
        made, taken = by_hand(pathlib.Path(scratch) / "hand", options.months)
    check(runs, made.found, options.months)
    for line in report(job, runs, taken):
        print(line)
    return 0


def by_hand(folder: pathlib.Path, months: int) -> tuple[ByHand, dict[str, Taken]]:
    """Do the work; return it with the seconds that each stage took."""
    project = load(_ROOT / "examples" / "flights")
    database, landing = folder / "airline.db", folder / "landing"
    # A folder takes what is written and has nothing yet: all that the example's sources need.
    world.upload_landing(cast("ObjectStore", _Folder(landing)))
    world.advance(database, upto_month=CANARY_MONTH)
    made, taken = ByHand(folder / "data", database, landing, project), dict[str, Taken]()
    with timed(taken, "Train with tensorflow"):
        made.prepare(TRAIN_MONTHS)
        made.training_set()
        made.train("tensorflow")
    with timed(taken, "Train with torch"):
        made.train("torch")
    for month in range(CANARY_MONTH, months + 1):
        world.advance(database, upto_month=month)
        with timed(taken, "Score month"):
            made.score(month)
        if month > CANARY_MONTH:
            with timed(taken, "Monitor month"):
                made.monitor(month)
    return made, taken


def check(runs: Mapping[str, Sequence[RunRecord]], found: Mapping[str, float], months: int) -> None:
    """Hold both to the same rows, and to the same models within noise."""
    first = runs["Train with tensorflow"][0].outputs
    split = first["split"]["rows"]
    theirs: dict[str, float] = {part: split[part] for part in ("train", "validation", "test")}
    for month in range(CANARY_MONTH, months + 1):
        scored = runs[f"Score month {month}"][0].outputs
        theirs[f"scored {month}"] = scored["score-batch"]["rows"]
    for name, rows in theirs.items():
        assert found[name] == rows, f"{name}: {found[name]} rows by hand, {rows} by the suite"
    for framework in ("tensorflow", "torch"):
        auc = runs[f"Train with {framework}"][0].outputs["evaluate"]["summary"]["auc"]
        assert math.isclose(found[f"auc {framework}"], auc, abs_tol=_AUC_NOISE), (
            f"{framework}: AUC {found[f'auc {framework}']:.4f} by hand, {auc:.4f} by the suite"
        )


def report(
    job: JobRecord, runs: Mapping[str, Sequence[RunRecord]], taken: Mapping[str, Taken]
) -> list[str]:
    """Return the tables as lines."""
    theirs: dict[str, Taken] = collections.defaultdict(Taken)
    apart: dict[str, float] = {}
    for stage in job.stages:
        kind = next((kind for kind in _STAGES if stage.title.startswith(kind)), "")
        if kind:
            theirs[kind] = sum(map(_taken, runs[stage.title]), theirs[kind])
        else:
            apart[stage.title] = stage.seconds
    rows = [(_STAGES[kind], theirs[kind], taken[kind]) for kind in _STAGES]
    whole, hand = sum(theirs.values(), Taken()), sum(taken.values(), Taken())
    own, total = whole.seconds - hand.seconds, whole.seconds + sum(apart.values())
    lines = [
        f"{'':<36}{'suite':>8}{'by hand':>9}{'ratio':>7}   {'suite':>8}{'by hand':>9}{'ratio':>7}"
    ]
    lines += [f"{'stage':<36}{'s':>8}{'s':>9}{'':>7}   {'cpu s':>8}{'cpu s':>9}"]
    lines += [_row(*row) for row in (*rows, ("whole", whole, hand))]
    share, cpu = 1 - hand.seconds / whole.seconds, 1 - hand.cpu_seconds / whole.cpu_seconds
    lines += [
        f"the suite's own share: {share:.0%} of the time, {cpu:.0%} of the steps' cpu time",
        f"of the whole job, with what has no counterpart ({total:.1f} s): {own / total:.0%}",
        "",
    ]
    lines += [f"{'without a counterpart':<36}{'s':>8}"]
    lines += [f"{title:<36}{seconds:8.1f}" for title, seconds in apart.items()]
    return [*lines, "", *_steps([run for each in runs.values() for run in each])]


def _taken(run: RunRecord) -> Taken:
    """Read what a run took: its steps' processor time, several at once."""
    return Taken(run.seconds, sum(step.cost.get("cpu_seconds", 0.0) for step in run.steps))


def _row(name: str, ours: Taken, hand: Taken) -> str:
    clock = (ours.seconds, hand.seconds)
    cpu = (ours.cpu_seconds, hand.cpu_seconds)
    words = [f"{a:8.1f}{b:9.1f}{a / b:7.2f}" for a, b in (clock, cpu)]
    return f"{name:<36}{words[0]}   {words[1]}"


def _steps(runs: Sequence[RunRecord]) -> list[str]:
    """Add up what steps took, and what starting and ending them did; steps run at once."""
    kinds: dict[str, list[tuple[float, float, float]]] = collections.defaultdict(list)
    for step in (step for run in runs for step in run.steps if step.cost):
        kind = " ".join(step.title.split()[:2])
        inside, cpu = step.cost["seconds"], step.cost["cpu_seconds"]
        kinds[kind].append((step.seconds, step.seconds - inside, cpu))
    summed = {
        kind: [sum(column) for column in zip(*rows, strict=True)] for kind, rows in kinds.items()
    }
    lines = [f"{'steps':<24} {'n':>4} {'seconds':>8} {'around it':>10} {'cpu s':>7}"]
    for kind, (seconds, around, cpu) in sorted(summed.items(), key=lambda one: -one[1][0]):
        lines.append(f"{kind:<24} {len(kinds[kind]):4} {seconds:8.1f} {around:10.1f} {cpu:7.1f}")
    total = [sum(column) for column in zip(*summed.values(), strict=True)]
    count = sum(map(len, kinds.values()))
    return [*lines, f"{'all':<24} {count:4} {total[0]:8.1f} {total[1]:10.1f} {total[2]:7.1f}"]


def _run(out: pathlib.Path, months: int) -> pathlib.Path:
    command = [sys.executable, "-m", "examples.flights", "--out", str(out)]
    subprocess.run([*command, "--months", str(months)], check=True)
    return out


class _Folder:
    """An object store that is a folder."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder

    def get(self, address: Address) -> bytes:
        raise NotFound(f"{address}: nothing is kept here", code="object-missing")

    def put(self, address: Address, data: bytes) -> None:
        path = self._folder / pathlib.PurePosixPath(address.key).relative_to("landing")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


if __name__ == "__main__":
    raise SystemExit(main())
