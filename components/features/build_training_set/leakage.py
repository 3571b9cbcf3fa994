"""Look for features from the future in a joined table, after the join and apart from it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from components.features.offline_store.asof import Joined, View
from components.features.offline_store.sql import quoted
from components.foundation.verdict import Decision, Verdict

_TIME = quoted("__time")


@dataclass(frozen=True, slots=True)
class Facts:
    """What one feature view gave to the rows.

    Attributes:
        view: its name.
        rows: entity rows.
        matched: rows for which it had a value, however old.
        expired: of those, rows whose value was older than its time to live: null now.
        newer: rows with a value from after the row's time; any is a leak.
        written_later: rows with a value written after the row's time; any is a leak.
        nulls: feature -> share of rows without it.
    """

    view: str
    rows: int
    matched: int
    expired: int
    newer: int
    written_later: int
    nulls: dict[str, float]

    @property
    def leaks(self) -> int:
        return self.newer + self.written_later

    @property
    def served(self) -> float:
        """The share of rows that got this view's features."""
        return (self.matched - self.expired) / self.rows if self.rows else 0.0


def examine(joined: Joined) -> list[Facts]:
    """Count, view by view, where the joined values come from in time."""
    return [_examine(joined, view) for view in joined.views]


def judge(facts: Sequence[Facts], *, subject: str, judged: str) -> Verdict:
    """Accept a joined table if nothing in it was unknown at its row's time."""
    leaks = sum(fact.leaks for fact in facts)
    rows = facts[0].rows if facts else 0
    worst = max(facts, key=lambda fact: fact.leaks, default=None)
    reason = (
        f"{leaks} values were unknown at their row's time, most of them from {worst.view}"
        if leaks and worst
        else f"all {rows} rows have only what was known at their time"
    )
    evidence: dict[str, Any] = {"rows": rows, "leaks": leaks, "views": [asdict(f) for f in facts]}
    decision = Decision.REFUSE if leaks else Decision.ACCEPT
    return Verdict(f"training set {subject}", decision, reason, evidence, judged)


def _examine(joined: Joined, view: View) -> Facts:
    time, known = quoted(view.matched_time), quoted(view.matched_known)
    expired = f"{time} < {_TIME} - {view.ttl_us}" if view.ttl else "false"
    nulls = ", ".join(f"count(*) - count({quoted(name)})" for name in view.features)
    row = joined.connection.execute(
        f"SELECT count(*), count({time}), count(*) FILTER ({expired}), "  # noqa: S608
        f"count(*) FILTER ({time} > {_TIME}), count(*) FILTER ({known} > {_TIME}), {nulls} "
        "FROM joined"
    ).fetchall()[0]
    rows, matched, old, newer, later = (int(value) for value in row[:5])
    missing = zip(view.features, row[5:], strict=True)
    shares = {name: count / rows if rows else 0.0 for name, count in missing}
    return Facts(view.name, rows, matched, old, newer, later, shares)
