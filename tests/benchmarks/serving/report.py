"""Results as a table for people and as JSON for later."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.benchmarks.serving.statistics import Sample

OURS = "falaj"


@dataclass(frozen=True, slots=True)
class Goal:
    """What we want: so many times as good as another server, or a bound.

    Attributes:
        beside: the other server; nothing for a bound.
        factor: how many times as good; or the bound.
        absolute: this is a bound.
    """

    beside: str
    factor: float
    absolute: bool = False


@dataclass(frozen=True, slots=True)
class Turns:
    """What servers did in turn, and the share of a core that each used meanwhile."""

    values: Mapping[str, Sample]
    busy: Mapping[str, Sample] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """One thing measured for several servers in turn.

    Attributes:
        title: what was done.
        unit: what the numbers are.
        turns: by server, a value a round.
        less_is_better: as with times and memory.
        by_work: the value is of work done, so that it can be told by processor second too.
        goals: what we want of our own.
    """

    title: str
    unit: str
    turns: Turns
    less_is_better: bool = False
    by_work: bool = False
    goals: Sequence[Goal] = ()

    @property
    def samples(self) -> Mapping[str, Sample]:
        return self.turns.values

    def advantage(self, beside: str) -> Sample:
        """How many times as good ours is, round by round."""
        ours, theirs = self.samples[OURS], self.samples[beside]
        return theirs.over(ours) if self.less_is_better else ours.over(theirs)

    def advantage_by_work(self, beside: str) -> Sample:
        """How many times as much ours does in a second of processor time.

        What else runs on the machine takes from a server's share of its core, which this
        takes out.
        """
        by_name = self.turns.busy
        ours = self.samples[OURS].over(by_name[OURS])
        return ours.over(self.samples[beside].over(by_name[beside]))

    def met(self, goal: Goal) -> bool:
        """Say whether the median reaches a goal."""
        if not goal.absolute:
            return self.advantage(goal.beside).median >= goal.factor
        got = self.samples[OURS].median
        return got <= goal.factor if self.less_is_better else got >= goal.factor

    def to_dict(self) -> dict[str, Any]:
        servers = {
            name: {"median": sample.median, "spread": sample.spread, "values": sample.values}
            for name, sample in self.samples.items()
        }
        for name, sample in self.turns.busy.items():
            servers[name]["busy"] = sample.values
        for name in servers.keys() - {OURS} if OURS in servers else ():
            servers[name]["falaj_is_better"] = self.advantage(name).median
            if self.by_work:
                servers[name]["falaj_is_better_by_work"] = self.advantage_by_work(name).median
        goals = [
            {"beside": goal.beside or "bound", "wanted": goal.factor, "met": self.met(goal)}
            for goal in self.goals
        ]
        return {"title": self.title, "unit": self.unit, "servers": servers, "goals": goals}


def table(results: Sequence[Result]) -> Iterator[str]:
    """Write what was measured, line by line."""
    for result in results:
        yield ""
        yield f"{result.title} ({result.unit})"
        yield (
            f"  {'':<24}{'median':>11}{'lowest':>11}{'highest':>11}{'spread':>8}{'of a core':>11}"
            f"{'falaj is':>14}{'a cpu second':>14}"
        )
        for name, sample in result.samples.items():
            yield _line(result, name, sample)
        yield from (_goal(result, goal) for goal in result.goals)


def _line(result: Result, name: str, sample: Sample) -> str:
    numbers = [f"{_short(n):>11}" for n in (sample.median, min(sample.values), max(sample.values))]
    busy = f"{result.turns.busy[name].median:.0%}" if name in result.turns.busy else ""
    better, by_work = "", ""
    if OURS in result.samples and name != OURS:
        better = _times(result.advantage(name))
        by_work = _times(result.advantage_by_work(name)) if result.by_work else ""
    shown = (
        f"  {name:<24}{''.join(numbers)}{sample.spread:>8.0%}{busy:>11}{better:>14}{by_work:>14}"
    )
    return shown.rstrip()


def _times(advantage: Sample) -> str:
    """Write a ratio; to nothing there is none."""
    if not math.isfinite(advantage.median):
        return ""
    return f"{advantage.median:.2f}x ±{advantage.spread / 2:.0%}"


def _goal(result: Result, goal: Goal) -> str:
    said = "met" if result.met(goal) else "missed"
    if goal.absolute:
        side = "at most" if result.less_is_better else "at least"
        return f"  goal {said}: {side} {goal.factor:g} {result.unit}"
    return f"  goal {said}: at least {goal.factor:g}x as good as {goal.beside}"


def _short(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"
