"""What a run did, as plain values: what the report shows and nothing else.

A story is JSON in and out, so a report can be made again from what was kept.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from components.foundation.errors import UserError
from components.foundation.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of the channel and the rows that went through it.

    Attributes:
        stage: the part of the channel, e.g. "ingestion".
        name: the step, e.g. "ingest_sql flights".
        rows_in: rows read; None where rows are not what flows.
        rows_out: rows written.
        quarantined: rows kept back.
        seconds: wall time.
        skipped: whether nothing had changed since an earlier run.
    """

    stage: str
    name: str
    rows_in: int | None = None
    rows_out: int | None = None
    quarantined: int = 0
    seconds: float = 0.0
    skipped: bool = False


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Rows of one table that one rule kept back."""

    table: str
    rule: str
    rows: int


@dataclass(frozen=True, slots=True)
class Measure:
    """One metric of one model on one slice ("all" is the whole), with its interval."""

    model: str
    metric: str
    value: float
    low: float | None = None
    high: float | None = None
    slice: str = "all"
    rows: int | None = None


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
    """One candidate against the champion, and how it ended."""

    name: str
    verdict: Verdict
    points: tuple[Point, ...] = ()


@dataclass(frozen=True, slots=True)
class Effect:
    """How far one column moved from its reference."""

    column: str
    effect: float


@dataclass(frozen=True, slots=True)
class Month:
    """One month of production: drift at once, performance when labels are known.

    Attributes:
        month: e.g. "2013-08".
        decision: what drift detection decided, e.g. "drift" or "stable".
        drifted: columns that moved, largest first.
        auc: realised, with its interval; None while labels are missing.
        low: lower end of the interval.
        high: upper end of the interval.
        coverage: share of predictions whose label is known, 0 to 1.
    """

    month: str
    decision: str
    drifted: tuple[Effect, ...] = ()
    auc: float | None = None
    low: float | None = None
    high: float | None = None
    coverage: float | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """A sealed release and what became of it, e.g. "champion" or "rolled back"."""

    model: str
    version: str
    digest: str
    uri: str
    fate: str


@dataclass(frozen=True, slots=True)
class Link:
    title: str
    href: str


@dataclass(frozen=True, slots=True)
class Story:
    """A whole run; `Story.from_json(story.to_json()) == story`."""

    title: str
    run_id: str
    started: str
    seconds: float
    stages: tuple[Stage, ...] = ()
    quarantine: tuple[Quarantined, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    evaluations: tuple[Measure, ...] = ()
    blessing: Verdict | None = None
    rollouts: tuple[Rollout, ...] = ()
    months: tuple[Month, ...] = ()
    releases: tuple[Release, ...] = ()
    links: tuple[Link, ...] = ()

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
