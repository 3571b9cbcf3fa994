"""What a job did, as plain values: what the report shows and nothing else.

A story is JSON in and out, so a page can be made again from what was kept. Whatever judges is
a verdict with its place in the audit log; figures name the verdict or the table version that
they come from, and the page links to it.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from components.foundation.cost import Cost
from components.foundation.errors import UserError
from components.foundation.verdict import Verdict

WHOLE = "all"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a run.

    Attributes:
        title: what people read.
        seconds: wall time, with starting and ending it.
        cached: whether an earlier run's outputs were taken.
        cost: what it read, wrote and took; None where nobody measured.
    """

    title: str
    seconds: float
    cached: bool = False
    cost: Cost | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the job, with what no run knows of it.

    Attributes:
        title: what people read.
        runs: ids of its pipeline runs.
        seconds: wall time, in whichever job did it.
        skipped: whether an earlier job did it, and nothing has changed since.
        state: succeeded, failed, refused or interrupted.
        error: why, unless it succeeded.
        steps: of its runs, in the order they ended.
    """

    title: str
    runs: tuple[str, ...] = ()
    seconds: float = 0.0
    skipped: bool = False
    state: str = "succeeded"
    error: str = ""
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """One version of one table: who made it, from what, with how many rows.

    Attributes:
        ref: e.g. "s3://falaj-curated/flights@2".
        rows: that it holds; None where no step said so.
        step: what made it, e.g. "Curate flights".
        run: in which run.
        sources: references of what it was made from.
        kept_back: rows of its sources that went to quarantine instead.
    """

    ref: str
    rows: int | None = None
    step: str = ""
    run: str = ""
    sources: tuple[str, ...] = ()
    kept_back: int = 0

    @property
    def name(self) -> str:
        """Return bucket and name, without the version."""
        return self.ref.rpartition("@")[0] or self.ref


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Rows that one rule kept back, on the way into a version of a table."""

    table: str
    rule: str
    rows: int
    into: str = ""


@dataclass(frozen=True, slots=True)
class Curve:
    """How one model learnt: a value of every series for each epoch."""

    model: str
    epochs: tuple[int, ...]
    series: dict[str, tuple[float | None, ...]]
    best: int | None = None
    table: str = ""


@dataclass(frozen=True, slots=True)
class Measure:
    """One metric of one model on one slice ("all" is the whole), with its interval.

    Attributes:
        entry: audit entry of the verdict that judged it; 0 for none.
        table: reference of the rows it was measured on.
    """

    model: str
    metric: str
    value: float
    low: float | None = None
    high: float | None = None
    slice: str = WHOLE
    rows: int | None = None
    entry: int = 0
    table: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict, where it was given, and its entry in the audit log."""

    verdict: Verdict
    entry: int = 0
    step: str = ""
    stage: str = ""
    run: str = ""


@dataclass(frozen=True, slots=True)
class Point:
    """A moment of a rollout.

    Attributes:
        seconds: since the rollout began.
        requests: answered so far, by both versions.
        weight: percent of traffic on the candidate.
        champion_errors: share of the champion's answers that were errors so far, 0 to 1.
        candidate_errors: the same of the candidate.
        e_value: evidence against "the candidate is no worse"; None before there is any.
    """

    seconds: float
    requests: int
    weight: float
    champion_errors: float | None = None
    candidate_errors: float | None = None
    e_value: float | None = None


@dataclass(frozen=True, slots=True)
class Rollout:
    """One candidate against the champion, and how it ended.

    Attributes:
        answers: what clients saw, by HTTP status, as far as somebody counted.
        after: the same, from the decision on.
        latency_ms: `median` and `p99` of what clients waited for good answers.
    """

    name: str
    verdict: Verdict
    release: str = ""
    entry: int = 0
    points: tuple[Point, ...] = ()
    answers: dict[str, int] = field(default_factory=dict)
    after: dict[str, int] = field(default_factory=dict)
    latency_ms: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Effect:
    """How far one column moved from its reference."""

    column: str
    effect: float


@dataclass(frozen=True, slots=True)
class Window:
    """One window of production: drift at once, performance when labels are known.

    Attributes:
        name: e.g. "2013-08", or the table of observations when it is looked at whole.
        decision: what drift detection decided, e.g. "drift" or "stable".
        drifted: columns that moved, largest first.
        metric: what performance was measured by; empty while labels are missing.
        value: realised, with its interval.
        low: lower end of the interval.
        high: upper end of the interval.
        coverage: share of predictions whose label is known, 0 to 1.
        predictions: how many there were.
        state: how performance did, in words.
        drift_entry: audit entry of the drift verdict.
        performance_entry: audit entry of the performance verdict.
        dated: whether it is a time; else a table of observations, looked at whole.
    """

    name: str
    decision: str
    drifted: tuple[Effect, ...] = ()
    metric: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    coverage: float | None = None
    predictions: int | None = None
    state: str = ""
    drift_entry: int = 0
    performance_entry: int = 0
    dated: bool = True


@dataclass(frozen=True, slots=True)
class Release:
    """A sealed release and what became of it, e.g. "champion" or "rolled back".

    Attributes:
        digest: of its content, as its statement has it.
        fate: what became of it.
        signer: id of the key that signed its statement.
        statement: digest of the signed statement.
        problem: why it does not verify now; empty when it does.
        made_by: the run that sealed it, or what its statement says it was made from.
        tables: references of the tables it was trained and tested on.
        entry: audit entry of its sealing; 0 when it was sealed by hand.
    """

    model: str
    version: str
    digest: str
    uri: str
    fate: str
    signer: str = ""
    statement: str = ""
    problem: str = ""
    made_by: str = ""
    tables: tuple[str, ...] = ()
    entry: int = 0


@dataclass(frozen=True, slots=True)
class Forgery:
    """Something that a thief of the bucket could try, and the sentence that refused it."""

    what: str
    refused: str


@dataclass(frozen=True, slots=True)
class Pace:
    """What it took to seal a release's files into the object store, and to open them again."""

    files: int
    bytes: int
    sealed_seconds: float
    opened_seconds: float


@dataclass(frozen=True, slots=True)
class Audit:
    """The audit log as it was when the page was made, and what was held against it."""

    entries: int = 0
    head: str = ""
    checked: int = 0


@dataclass(frozen=True, slots=True)
class Story:
    """A whole job; `Story.from_json(story.to_json()) == story`."""

    title: str
    run_id: str
    started: str
    seconds: float
    project: str = ""
    code: str = ""
    stages: tuple[Stage, ...] = ()
    tables: tuple[Table, ...] = ()
    quarantine: tuple[Quarantined, ...] = ()
    curves: tuple[Curve, ...] = ()
    verdicts: tuple[Judged, ...] = ()
    evaluations: tuple[Measure, ...] = ()
    blessings: tuple[Judged, ...] = ()
    rollouts: tuple[Rollout, ...] = ()
    windows: tuple[Window, ...] = ()
    releases: tuple[Release, ...] = ()
    forgeries: tuple[Forgery, ...] = ()
    residency: tuple[Judged, ...] = ()
    audit: Audit | None = None
    pace: Pace | None = None

    @property
    def blessing(self) -> Verdict | None:
        """The newest."""
        return self.blessings[-1].verdict if self.blessings else None

    @property
    def champion(self) -> Release | None:
        return next((r for r in self.releases if r.fate == "champion"), None)

    def newest_tables(self) -> Iterator[Table]:
        """Yield the last version of every table, in the order the tables came to be."""
        yield from {table.name: table for table in self.tables}.values()

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False, indent=1)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Read a story; raises UserError naming the field that is wrong."""
        import pydantic

        try:
            return pydantic.TypeAdapter(cls).validate_python(dict(value))
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise UserError(
                f"story: {where}: {first['msg']}; got {first['input']!r}", code="story-malformed"
            ) from error

    @classmethod
    def from_json(cls, text: str) -> Self:
        try:
            value = json.loads(text)
        except ValueError as error:
            raise UserError(
                f"story: not JSON: {error}; was the file cut?", code="story-malformed"
            ) from error
        if not isinstance(value, dict):
            raise UserError(
                f"story: expected an object, got {type(value).__name__}", code="story-malformed"
            )
        return cls.from_dict(value)
