"""Tell what a job did from its records, as far as the evidence in the store bears it out.

Nothing here knows what the job is about: metrics are called what `evaluate` called them,
windows what monitoring was asked for, and a rollout is a run of the pipeline `deployment`.
"""

import dataclasses
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from components.foundation.verdict import Decision, Verdict
from components.governance.report import rendering
from components.governance.report.story import (
    Audit,
    Curve,
    Forgery,
    Judged,
    Measure,
    Pace,
    Quarantined,
    Release,
    Rollout,
    Stage,
    Step,
    Story,
    Table,
    Window,
)
from pipelines import outputs
from pipelines.outputs import Outputs
from pipelines.proof import Proof
from pipelines.records import JobRecord, Records, RunRecord, StageRecord, StepRecord

if TYPE_CHECKING:
    from pipelines.laptop.session import Session

_CHAMPION, _REPLACED = "champion", "champion until replaced"
_NUMBERED = re.compile(r"-\d+$")  # kfp numbers the second task of a component, and on


def write(path: pathlib.Path, job: JobRecord, laptop: "Session") -> pathlib.Path:
    """Write a job's page, and the story it was made from beside it; return the page's path.

    Raises:
        Refused: a verdict in the records is not the one in the audit log.
    """
    runs = Records(laptop.folder / "runs").runs
    proof = Proof.gather(laptop.store, laptop.keys)
    rendering.write(tell(job, runs.list(), proof), path)
    return path.resolve()


def job_of(runs: Sequence[RunRecord]) -> JobRecord:
    """Make a job of runs that were started by hand, one after the other; at least one."""
    stages = tuple(StageRecord(run.title, (run.run_id,), run.seconds) for run in runs)
    title = runs[0].title if len(runs) == 1 else f"{runs[0].project}: {len(runs)} runs"
    seconds = sum(run.seconds for run in runs)
    return JobRecord(runs[-1].run_id, title, runs[0].started, seconds, stages)


def tell(job: JobRecord, runs: Sequence[RunRecord], proof: Proof) -> Story:
    """Build the story of a job from its records and the store's evidence.

    Args:
        job: stage by stage.
        runs: every run there is a record of; the job's are picked out.
        proof: what the store holds.
    """
    return _Telling(job, {run.run_id: run for run in runs}, proof).story()


@dataclass(frozen=True)
class _Part:
    """A run within its stage."""

    stage: StageRecord
    run: RunRecord

    def given(self, component: str) -> Outputs:
        """Return what the first step of a component gave, or nothing."""
        return next((g for name, _, g in self.steps if name == component), {})

    @property
    def steps(self) -> Iterator[tuple[str, str, Outputs]]:
        """Yield component, title and outputs of every step."""
        for step in self.run.steps:
            yield _NUMBERED.sub("", step.name), step.title, step.outputs

    @property
    def model(self) -> str:
        """What trained here is called: the framework, after the pipeline's name."""
        return self.run.pipeline.removeprefix("training-")


@dataclass(frozen=True)
class _Telling:
    job: JobRecord
    runs: Mapping[str, RunRecord]
    proof: Proof

    @cached_property
    def parts(self) -> tuple[_Part, ...]:
        """Every run of the job in order, those last that ended their stage with an error."""
        named = [
            _Part(stage, self.runs[id])
            for stage in self.job.stages
            for id in stage.run_ids
            if id in self.runs
        ]
        known = {part.run.run_id for part in named}
        broken = (r for r in self.runs.values() if r.job == self.job.id and r.run_id not in known)
        return (*named, *(_Part(_stage_of(run), run) for run in broken))

    def story(self) -> Story:
        first = self.parts[0].run if self.parts else None
        verdicts = tuple(self._verdicts())
        return Story(
            title=self.job.title,
            run_id=self.job.id,
            started=self.job.started,
            seconds=self.job.seconds,
            project=first.project if first else "",
            code=first.code if first else "",
            stages=tuple(self._stages()),
            tables=tuple(self._tables()),
            quarantine=tuple(self._quarantine()),
            curves=tuple(c for part in self.parts for c in _curves(part)),
            verdicts=verdicts,
            evaluations=tuple(m for part in self.parts for m in self._measures(part)),
            blessings=tuple(self._of("bless")),
            rollouts=tuple(r for part in self.parts for r in self._rollouts(part)),
            windows=tuple(self._windows()),
            releases=tuple(self._releases()),
            forgeries=tuple(self._forgeries()),
            pace=next(self._paces(), None),
            residency=tuple(j for j in verdicts if j.entry in self._attested),
            audit=Audit(len(self.proof.entries), self.proof.head, len(verdicts)),
        )

    def _stages(self) -> Iterator[Stage]:
        for stage in self.job.stages:
            yield _stage(stage, [self.runs[id] for id in stage.run_ids if id in self.runs])
        told = {id for stage in self.job.stages for id in stage.run_ids}
        for part in self.parts:
            if part.run.run_id not in told:
                yield _stage(part.stage, [part.run])

    def _judged(self, part: _Part, title: str, given: Outputs) -> Judged:
        verdict = Verdict.from_dict(given["verdict"])
        entry = self.proof.entry(verdict)
        return Judged(verdict, entry, title, part.stage.title, part.run.run_id)

    def _verdicts(self) -> Iterator[Judged]:
        """Every verdict once, though cached steps give theirs again."""
        found = {
            judged.entry: judged
            for part in reversed(self.parts)
            for _, title, given in part.steps
            if "verdict" in given
            for judged in [self._judged(part, title, given)]
        }
        yield from (found[entry] for entry in sorted(found))

    def _of(self, component: str) -> Iterator[Judged]:
        for part in self.parts:
            for name, title, given in part.steps:
                if name == component:
                    yield self._judged(part, title, given)

    @cached_property
    def _attested(self) -> set[int]:
        return {judged.entry for judged in self._of("attest-residency")}

    def _entry(self, given: Outputs) -> int:
        return self.proof.entry(Verdict.from_dict(given["verdict"])) if "verdict" in given else 0

    def _tables(self) -> Iterator[Table]:
        """Every version that a step named, as the first step that wrote it says."""
        seen: set[str] = set()
        for part in self.parts:
            for _, title, given in part.steps:
                for ref, rows in outputs.written(given):
                    if ref not in seen:
                        seen.add(ref)
                        sources = self.proof.sources.get(ref, ())
                        kept = outputs.kept_back(given)
                        yield Table(ref, rows, title, part.run.run_id, sources, kept)

    def _quarantine(self) -> Iterator[Quarantined]:
        """The newest count of every table and rule; curating again counts again."""
        newest: dict[tuple[str, str], Quarantined] = {}
        for part in self.parts:
            for _, _, given in part.steps:
                for found in outputs.quarantined(given):
                    newest[found.table, found.rule] = found
        yield from newest.values()

    def _measures(self, part: _Part) -> Iterator[Measure]:
        if described := part.given("evaluate").get("evaluation"):
            found, entry = outputs.artifact(described), self._entry(part.given("bless"))
            yield from outputs.measures(found, model=part.model, entry=entry)

    def _rollouts(self, part: _Part) -> Iterator[Rollout]:
        """A candidate beside a champion; one that never began is told by its deployment."""
        if part.run.pipeline != "deployment" or not part.given("deploy"):
            return
        judged = part.given("roll-out") or part.given("deploy")
        verdict = Verdict.from_dict(judged["verdict"])
        if verdict.decision is Decision.STABLE:  # there was nothing to compare with
            return
        points = outputs.artifact(judged["history"]) if "history" in judged else []
        yield Rollout(
            name=part.stage.title.removeprefix("Roll out "),
            verdict=verdict,
            release=str(part.given("deploy").get("release", "")),
            entry=self.proof.entry(verdict),
            points=tuple(outputs.point(point) for point in points),
            answers=outputs.counts(part.stage.facts.get("answers")),
            after=outputs.counts(part.stage.facts.get("after_decision")),
            latency_ms=outputs.numbers(part.stage.facts.get("latency_ms")),
        )

    def _windows(self) -> Iterator[Window]:
        """Drift as it was judged in the window; performance as the newest labels have it."""
        watched = [part for part in self.parts if part.given("detect-drift")]
        watched.sort(key=lambda part: str(part.run.parameters.get("since") or "~"))  # live: last
        newest: dict[str, tuple[Outputs, int]] = {}
        for part in watched:
            newest |= {
                _key(part, window): (window, entry) for window, entry in self._measured(part)
            }
        for part in watched:
            drift, name = part.given("detect-drift"), _window_name(part.run)
            window, entry = newest.get(name, ({}, 0))
            dated = bool(part.run.parameters.get("since"))
            found = outputs.window_of(name, drift["verdict"], self._entry(drift), window, entry)
            yield dataclasses.replace(found, dated=dated)

    def _measured(self, part: _Part) -> list[tuple[Outputs, int]]:
        given = part.given("measure-performance")
        return [(window, self._entry(given)) for window in outputs.measured(given)]

    def _releases(self) -> Iterator[Release]:
        """Every release that was sealed or deployed, in that order, and what became of it."""
        made: dict[str, str] = {}
        fates: dict[str, str] = {}
        for part in self.parts:
            if uri := part.given("seal").get("Output"):
                made[uri] = part.run.run_id
                fates.setdefault(uri, "sealed, not deployed")
            if not (uri := part.given("deploy").get("release")):
                continue
            fate = _fate(part)
            if fate == _CHAMPION:
                fates = {u: _REPLACED if f == _CHAMPION else f for u, f in fates.items()}
            fates[uri] = fate
        for uri, fate in fates.items():
            yield self._release(uri, fate, made.get(uri, ""))

    def _paces(self) -> Iterator[Pace]:
        for stage in self.job.stages:
            if "pace" in stage.facts:
                yield Pace(**stage.facts["pace"])

    def _forgeries(self) -> Iterator[Forgery]:
        for stage in self.job.stages:
            for what, refused in stage.facts.get("forgeries", {}).items():
                yield Forgery(what, refused)

    def _release(self, uri: str, fate: str, made_by: str) -> Release:
        model, version = uri.split("/")[-2:]
        held = self.proof.sealed.get(uri)
        if held is None:
            gone = "it is not in the store"
            return Release(model, version, "", uri, fate, problem=gone, made_by=made_by)
        tables = tuple(
            v for v in held.facts.values() if isinstance(v, str) and outputs.TABLE.fullmatch(v)
        )
        return Release(
            model,
            version,
            held.content,
            uri,
            fate,
            held.signer,
            held.statement,
            held.problem,
            made_by or str(held.facts.get("made from", "")),
            tables,
            self.proof.sealing(uri),
        )


def _stage_of(run: RunRecord) -> StageRecord:
    return StageRecord(run.title, (run.run_id,), run.seconds)


def _stage(stage: StageRecord, runs: Sequence[RunRecord]) -> Stage:
    worst = next((run for run in runs if run.state != "succeeded"), None)
    return Stage(
        title=stage.title,
        runs=stage.run_ids,
        seconds=stage.seconds,
        skipped=stage.skipped,
        state=worst.state if worst else "succeeded",
        error=worst.error.message if worst and worst.error else "",
        steps=tuple(_step(step) for run in runs for step in run.steps),
    )


def _step(step: StepRecord) -> Step:
    return Step(step.title, step.seconds, step.cached, outputs.cost(step.cost))


def _curves(part: _Part) -> Iterator[Curve]:
    for _, _, given in part.steps:
        epochs = (given.get("curve") or {}).get("epochs")
        if not isinstance(epochs, list) or not epochs:
            continue
        names = [name for name in epochs[0] if name not in {"epoch", "best"}]
        best = next((int(e["epoch"]) for e in epochs if e.get("best")), None)
        yield Curve(
            part.model,
            tuple(int(epoch["epoch"]) for epoch in epochs),
            {name: tuple(epoch[name] for epoch in epochs) for name in names},
            best,
            str(part.given("split").get("train", "")),
        )


def _key(part: _Part, window: Outputs) -> str:
    """Name what a window of performance is about; a table looked at whole has one name."""
    return str(window["window"]) if part.run.parameters.get("since") else _window_name(part.run)


def _window_name(run: RunRecord) -> str:
    """Call a window as monitoring was asked for it: a month, dates, or a table looked at whole."""
    since, until = (str(run.parameters.get(name) or "") for name in ("since", "until"))
    if not since and not until:
        table = str(run.parameters.get("observations") or "all")
        return table.partition("@")[0].removeprefix("s3://").partition("/")[2] or table
    if since[8:] == until[8:] == "01" and outputs.months(until) - outputs.months(since) == 1:
        return since[:7]
    return f"{since or 'the beginning'} to {until or 'now'}"


def _fate(part: _Part) -> str:
    if not part.given("roll-out"):
        return "never started"
    match part.given("roll-out")["verdict"]["decision"]:
        case "promote" | "stable":
            return _CHAMPION
        case "roll back":
            return "rolled back"
        case decision:
            return f"undecided ({decision})"
