"""The worked example, killed again and again: points drawn from a seed, and what was hit.

A point is a step's end and a delay, so it lies where it lies on a slow machine too. What is
killed is one of:

    step        the process of one running step; the job has to end by itself, with 75
    job         the job alone, as by the kernel when memory is short; its steps are orphaned
    group       the job's process group: the job and its steps
    everything  all that belongs to the folder at one instant: servers and models as well
"""

import contextlib
import os
import pathlib
import random
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self

from pipelines.laptop import processes
from tests.end_to_end.runs import ROOT, command

STEP, JOB, GROUP, EVERYTHING = "step", "job", "group", "everything"
KINDS = (STEP, GROUP, EVERYTHING, STEP, JOB, GROUP)  # a step's death and a group's count double
INFRASTRUCTURE = 75
_MOST_DELAY_S, _SHORT_DELAY_S = 3.0, 0.3
_PATIENCE_S = 240.0
_STEP = re.compile(r"    (?P<title>[A-Z].*?)  +(\d+\.\d s|unchanged)")
_LOOK_S = 0.02

Progress = tuple[str, str]  # a stage, and a step of it that has ended


@dataclass(frozen=True, slots=True)
class Point:
    """Where to kill, and what.

    Attributes:
        after: how many steps of the whole job have ended, in whichever run.
        delay: seconds from there.
        kind: what is killed.
        pick: which of the running steps, as a fraction.
        busy: whether a step has to have begun in the call that is killed.
    """

    after: int
    delay: float
    kind: str
    pick: float
    busy: bool = False

    def __str__(self) -> str:
        return f"{self.after:>3} + {self.delay:.1f} s"


def points(seed: int, *, count: int, steps: int, first: int = 0) -> list[Point]:
    """Draw points of a job, in order; the same seed gives the same.

    Args:
        seed: of the draw.
        count: how many.
        steps: how many the whole job has.
        first: none lies before so many of them have ended; what comes then is short.
    """
    chance = random.Random(seed)  # noqa: S311 - nothing secret
    after = sorted(chance.randrange(first, steps) for _ in range(count))
    kinds = [KINDS[(seed + i) % len(KINDS)] for i in range(count)]
    chance.shuffle(kinds)
    delay = _SHORT_DELAY_S if first else _MOST_DELAY_S
    return [
        Point(n, chance.uniform(0, delay), kind, chance.random(), busy=first > 0)
        for n, kind in zip(after, kinds, strict=True)
    ]


@dataclass
class Job:
    """One call of the example in a folder, in a process group of its own.

    Attributes:
        done: what has ended so far, also in earlier calls; grows while this one runs.
    """

    out: pathlib.Path
    months: int
    done: set[Progress]
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.began = time.monotonic()
        self.stage = "starting"
        self.process = subprocess.Popen(
            command("examples.flights", "--months", self.months, "--out", self.out),
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if line.strip() and not line.startswith(" "):
                self.stage = line.strip()
            elif match := _STEP.match(line):
                self.done.add((self.stage, match["title"]))

    @property
    def last(self) -> str:
        """The last thing it said."""
        return next((line for line in reversed(self.lines) if line), "")

    def reaches(self, point: Point) -> bool:
        """Wait until a point has come; say whether the job still runs then."""
        while len(self.done) < point.after and self.process.poll() is None:
            time.sleep(_LOOK_S)
        if point.busy:
            _steps_soon(self)
        time.sleep(point.delay)
        return self.process.poll() is None

    def steps_of(self, *stages: str) -> int:
        """Return how many steps of some stages have ended."""
        return sum(stage in stages for stage, _ in self.done)

    def ends(self) -> int:
        """Wait for the end; return the exit code, negative for a signal."""
        code = self.process.wait(_PATIENCE_S)
        self._reader.join(_PATIENCE_S)
        return code

    def steps(self) -> dict[int, str]:
        """Return the running steps: process -> component."""
        words = {pid: _words(pid) for pid in _group(self.process.pid)}
        return {
            pid: said[said.index("--function_to_execute") + 1]
            for pid, said in sorted(words.items())
            if "kfp.dsl.executor_main" in said and "--function_to_execute" in said
        }


@dataclass(frozen=True, slots=True)
class Hit:
    """What a kill met: what ran, what was killed, and what must be gone afterwards."""

    running: str
    killed: str
    processes: frozenset["Process"]
    sockets: frozenset[str]


@dataclass(frozen=True, slots=True)
class Process:
    """A process, told from a later one of the same number."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> Self:
        return cls(pid, _started(pid))

    @property
    def alive(self) -> bool:
        return _started(self.pid) == self.started


def strike(job: Job, point: Point) -> Hit | None:
    """Kill what a point says, a step only if one runs within a while, else the group.

    The job stands still meanwhile, so that what is killed is what was seen to run.
    Returns None when it has ended before.
    """
    running = _stopped(job, with_a_step=point.kind == STEP)
    try:
        if job.process.poll() is not None:
            return None
        belonging = _belonging(job, job.out / "laptop")
        sockets = listening(p.pid for p in belonging)
        names = ", ".join(running.values()) or "no step"
        killed = _kill(job, point, running, belonging)
        return Hit(f"{job.stage}: {names}", killed, belonging, sockets)
    finally:
        _signal(job, signal.SIGCONT)


def _steps_soon(job: Job) -> dict[int, str]:
    """Wait for a step to run, as long as the job does."""
    while not (running := job.steps()) and job.process.poll() is None:
        time.sleep(_LOOK_S)
    return running


def _stopped(job: Job, *, with_a_step: bool) -> dict[int, str]:
    """Stop a job and its steps, at the first moment when one runs if that is asked for."""
    while True:
        _signal(job, signal.SIGSTOP)
        running = job.steps()
        if running or not with_a_step or job.process.poll() is not None:
            return running
        _signal(job, signal.SIGCONT)
        time.sleep(_LOOK_S)


def _signal(job: Job, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(job.process.pid, number)


def _kill(job: Job, point: Point, running: dict[int, str], belonging: frozenset["Process"]) -> str:
    """Kill, and say what."""
    if point.kind == STEP and running:
        pid = sorted(running)[int(point.pick * len(running))]
        os.kill(pid, signal.SIGKILL)
        return running[pid]
    if point.kind == JOB:
        os.kill(job.process.pid, signal.SIGKILL)
        return JOB
    if point.kind == EVERYTHING:
        _at_once(belonging)
        return EVERYTHING
    os.killpg(job.process.pid, signal.SIGKILL)
    return GROUP


def _at_once(belonging: frozenset[Process]) -> None:
    """Kill as a power cut does: none may act on another's death, so all are stopped first."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for process in belonging:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)


def left(hit: Hit) -> list[str]:
    """Say what is still there of a killed run: processes, and sockets they listened on."""
    alive = [f"process {p.pid}: {' '.join(_words(p.pid))[:80]}" for p in hit.processes if p.alive]
    open_ = [f"port {port}" for inode, port in _sockets().items() if inode in hit.sockets]
    return sorted(alive + open_)


def _belonging(job: Job, folder: pathlib.Path) -> frozenset[Process]:
    """Find all processes of a run: marked ones, and whatever they started, marked or not."""
    parents = {pid: _parent(pid) for pid in _pids()}
    found = {job.process.pid, *processes.marked(folder)}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return frozenset(Process.of(pid) for pid in found if _started(pid))


def _pids() -> Iterator[int]:
    return (int(path.name) for path in pathlib.Path("/proc").glob("[0-9]*"))


def _group(leader: int) -> list[int]:
    found = []
    for pid in _pids():
        with contextlib.suppress(ProcessLookupError):
            if os.getpgid(pid) == leader:
                found.append(pid)
    return found


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat behind the name; nothing of a zombie."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
    return [] if fields[0] in "ZX" else fields


def _parent(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[1]) if fields else 0


def _started(pid: int) -> str:
    fields = _stat(pid)
    return fields[19] if fields else ""


def _words(pid: int) -> Sequence[str]:
    try:
        data = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return [word.decode(errors="replace") for word in data.split(b"\0")]


def listening(pids: Iterator[int]) -> frozenset[str]:
    """Return the sockets that processes listen on, by inode."""
    held = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            for link in pathlib.Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    held.add(os.readlink(link).removeprefix("socket:[").rstrip("]"))
    return frozenset(held & _sockets().keys())


def _sockets() -> dict[str, int]:
    """Return inode -> port of every TCP socket that listens."""
    rows = pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]
    fields = [row.split() for row in rows]
    return {f[9]: int(f[1].rpartition(":")[2], 16) for f in fields if f[3] == "0A"}
