"""The leakage report of a training set, for a person."""

from components.features.build_training_set.leakage import Facts
from components.features.build_training_set.training_set import Set
from components.foundation.page import Html, judged, number, page, table

_HEADERS = ("view", "rows", "served", "expired", "newer than the row", "written later")


def render(found: Set) -> str:
    """Show where every feature comes from in time, and how much is missing."""
    went = f"{number(found.rows)} entity rows went in and came out"
    body = (
        f"{judged(found.verdict, went)}"
        f"{table(_HEADERS, map(_row, found.facts), caption='Where features come from in time')}"
        f"{table(('view', 'feature', 'null %'), _nulls(found), caption='What is missing')}"
        f"{table(('table',), _tables(found), caption='Read')}"
    )
    return page(f"Training set {found.request.target.name}", body)


def _row(fact: Facts) -> tuple[object, ...]:
    served = Html(f"{100 * fact.served:.1f} %")
    return (fact.view, fact.rows, served, fact.expired, fact.newer, fact.written_later)


def _nulls(found: Set) -> list[tuple[object, ...]]:
    return [
        (fact.view, feature, round(100 * share, 2))
        for fact in found.facts
        for feature, share in fact.nulls.items()
    ]


def _tables(found: Set) -> list[tuple[str]]:
    return [(str(ref),) for ref in (found.request.entities, *found.sources)]
