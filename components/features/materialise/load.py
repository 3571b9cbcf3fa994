"""Load the newest features into the online store, and judge what it then answers."""

import contextlib
import datetime
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.features.materialise import readback
from components.features.registry_store.reference import RegistryRef
from components.features.repository import Repository, path_of
from components.foundation.errors import UserError
from components.foundation.tables import TableRef, Tables
from components.foundation.verdict import Decision, Verdict

if TYPE_CHECKING:
    from feast import FeatureStore, FeatureView

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was read, and how the online store answers now."""

    sources: tuple[TableRef, ...]
    verdict: Verdict
    rows: int


def load(
    repository: Repository,
    registry: RegistryRef,
    tables: Tables,
    *,
    end: datetime.datetime,
    pinned: Sequence[TableRef],
) -> Loaded:
    """Write every view's newest values up to a time online, then read them back.

    Running it again writes the same values again.

    Raises:
        UserError: the registry no longer defines what the reference says.
    """
    online = _online(repository.store(registry=registry))
    sources = {view.name: _source(view, tables, pinned) for view in online}
    store = repository.store([*sources.values()], registry=registry)
    _prepare(store, online)
    for view in online:
        _write(store, view, end)
    facts = [readback.check(store, view, sources[view.name], end=end) for view in online]
    subject = f"online features of {repository.project}"
    verdict = judge(facts, subject=subject, judged=str(registry.definitions))
    ordered = sorted({str(ref): ref for ref in sources.values()}.items())
    return Loaded(tuple(ref for _, ref in ordered), verdict, sum(fact.rows for fact in facts))


def judge(facts: Sequence[readback.Facts], *, subject: str, judged: str = "") -> Verdict:
    """Accept if something was loaded and the online store answers it unchanged."""
    wrong = [fact for fact in facts if not fact.agrees]
    rows, compared = sum(f.rows for f in facts), sum(f.compared for f in facts)
    match wrong, rows:
        case [], 0:
            decision, reason = Decision.REFUSE, "no view has a value to load before that time"
        case [], _:
            decision = Decision.ACCEPT
            reason = f"{rows} rows loaded, {compared} of them read back and all the same"
        case _:
            decision = Decision.REFUSE
            told = ", ".join(f"{f.view} ({f.missing + f.different})" for f in wrong)
            reason = f"of {compared} rows read back some are not what was loaded: {told}"
    evidence = {"rows": rows, "compared": compared, "views": [fact.to_dict() for fact in facts]}
    return Verdict(subject, decision, reason, evidence, judged)


def parse_time(text: str) -> datetime.datetime:
    """Read an ISO 8601 time; without a zone it is in UTC, and empty is now."""
    if not text:
        return datetime.datetime.now(datetime.UTC)
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise UserError(
            f"end {text!r}: {error}; expected ISO 8601 such as 2013-07-01T00:00:00+00:00",
            code="time-malformed",
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)


def _online(store: "FeatureStore") -> list["FeatureView"]:
    """Return the views to load, by name.

    The registry's own order is of no use: Feast moves each view that it has loaded to the end,
    so a load that is killed between two views leaves another order than a whole one.
    """
    views = [view for view in store.list_feature_views() if view.online]
    return sorted(views, key=lambda view: view.name)


def _source(view: "FeatureView", tables: Tables, pinned: Sequence[TableRef]) -> TableRef:
    uri = path_of(view)
    given = {ref.uri: ref for ref in pinned}.get(uri)
    return tables.resolve(given or TableRef.parse(f"{uri}@latest"))


def _prepare(store: "FeatureStore", views: Sequence["FeatureView"]) -> None:
    """Make the tables of the online store; this may not be the machine that applied."""
    store.provider.update_infra(
        project=store.project,
        tables_to_delete=[],
        tables_to_keep=list(views),
        entities_to_delete=[],
        entities_to_keep=[],
        partial=True,
    )


def _write(store: "FeatureStore", view: "FeatureView", end: datetime.datetime) -> None:
    """Materialise one view, from where its values still hold; Feast's own words stay unsaid."""
    start = max(end - view.ttl, _EPOCH) if view.ttl else _EPOCH
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        store.materialize(start, end, feature_views=[view.name])
