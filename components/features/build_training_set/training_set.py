"""Join features to entity rows and keep the result as a pinned Delta table."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from components.features.build_training_set import leakage
from components.features.build_training_set.request import Request
from components.features.repository import Repository, path_of
from components.foundation import once
from components.foundation.digests import Digest
from components.foundation.errors import Refused, UserError, nearest
from components.foundation.tables import TableRef, Tables
from components.foundation.verdict import Verdict

if TYPE_CHECKING:
    from feast import FeatureService, FeatureStore

    from components.features.offline_store.job import HistoricalJob


@dataclass(frozen=True)
class Set:
    """Joined rows that are not written yet."""

    request: Request
    sources: tuple[TableRef, ...]
    job: "HistoricalJob"
    facts: tuple[leakage.Facts, ...]
    verdict: Verdict

    @property
    def rows(self) -> int:
        return self.job.joined.rows

    @property
    def digest(self) -> Digest:
        return self.request.digest(self.sources)


def join(
    repository: Repository, request: Request, tables: Tables, *, pinned: Sequence[TableRef]
) -> Set:
    """Join a feature service to the entity rows, as known at each row's time.

    Args:
        repository: where the definitions are.
        request: what to join.
        tables: the Delta tables.
        pinned: versions of feature tables; one that is not named is read at its latest.

    Raises:
        UserError: a name is unknown; the message says which is nearest.
        InfrastructureError: rows were lost.
    """
    query = request.query(tables.schema(request.entities).names)
    store = repository.store(registry=request.registry)
    service = _service(store, request.service)
    sources = _sources(store, service, tables, pinned)
    retrieval = repository.store(sources, registry=request.registry).get_historical_features(
        entity_df=query, features=service, filter_by_created_timestamp=True
    )
    job = cast("HistoricalJob", retrieval)  # our offline store gives its own jobs
    facts = tuple(leakage.examine(job.joined))
    digest = str(request.digest(sources))
    verdict = leakage.judge(facts, subject=request.target.name, judged=digest)
    return Set(request, sources, job, facts, verdict)


def write(found: Set, tables: Tables) -> TableRef:
    """Replace the target in one commit, unless it already holds exactly these rows.

    Raises:
        Refused: the rows know the future.
    """
    if not found.verdict.passes:
        raise Refused(
            f"{found.verdict}; nothing was written: look at the leakage report", code="leakage"
        )
    target = found.request.target.at(None)
    return once.replace(tables, target, found.digest, found.job.streamed)


def _service(store: "FeatureStore", name: str) -> "FeatureService":
    services = {service.name: service for service in store.list_feature_services()}
    if name not in services:
        raise UserError(
            f"feature service {name!r}: not registered; {nearest(name, [*services])}",
            code="feature-service-unknown",
        )
    return services[name]


def _sources(
    store: "FeatureStore", service: "FeatureService", tables: Tables, pinned: Sequence[TableRef]
) -> tuple[TableRef, ...]:
    """Pin the table of every view that the service takes features from."""
    versions = {ref.uri: ref for ref in pinned}
    names = [projection.name for projection in service.feature_view_projections]
    views = [view for view in store.list_feature_views() if view.name in names]
    uris = sorted({path_of(view) for view in views})
    return tuple(
        tables.resolve(versions.get(uri) or TableRef.parse(f"{uri}@latest")) for uri in uris
    )
