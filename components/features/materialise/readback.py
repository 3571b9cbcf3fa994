"""Ask the online store what it was just told, and compare with a point-in-time join."""

import datetime
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, cast

from components.features.offline_store.sql import listed, quoted
from components.foundation.tables import TableRef

if TYPE_CHECKING:
    from feast import FeatureStore, FeatureView

    from components.features.offline_store.asof import Joined
    from components.features.offline_store.job import HistoricalJob

SAMPLE = 1000


@dataclass(frozen=True, slots=True)
class Facts:
    """How one feature view answers online.

    Attributes:
        view: its name.
        rows: keys with a value that holds at the end of the load.
        compared: of those, keys that were asked for.
        missing: compared keys that the online store does not know.
        different: compared keys with another value online.
        features: features that differ, by how many keys.
    """

    view: str
    rows: int
    compared: int
    missing: int
    different: int
    features: dict[str, int]

    @property
    def agrees(self) -> bool:
        return not self.missing and not self.different

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def check(
    store: "FeatureStore", view: "FeatureView", table: TableRef, *, end: datetime.datetime
) -> Facts:
    """Compare a view online with what a training row at the end of the load would get.

    So this also finds a difference between training and serving, not only a lost write.
    """
    joined = _offline(store, view, table, end)
    keys = [column.name for column in view.entity_columns if column.name in joined.columns]
    features = [feature.name for feature in view.features]
    alive = f"{quoted(joined.views[0].matched_time)} IS NOT NULL"
    if ttl := joined.views[0].ttl_us:
        alive += f" AND {quoted(joined.views[0].matched_time)} >= {quoted('__time')} - {ttl}"
    rows = joined.connection.execute(f"SELECT count(*) FROM joined WHERE {alive}").fetchall()[0][0]  # noqa: S608
    order = f"hash({listed(keys)})" if keys else "1"
    sample = joined.connection.sql(
        f"SELECT {listed([*keys, *features])} FROM joined WHERE {alive} "  # noqa: S608
        f"ORDER BY {order} LIMIT {SAMPLE}"
    ).to_arrow_table()
    return _compare(store, view, sample.to_pylist(), keys=keys, features=features, rows=rows)


def _offline(
    store: "FeatureStore", view: "FeatureView", table: TableRef, end: datetime.datetime
) -> "Joined":
    """Join the view to one row for each of its keys, at the end of the load."""
    columns = {name: column for column, name in (view.batch_source.field_mapping or {}).items()}  # type: ignore[union-attr]
    names = [c.name for c in view.entity_columns if c.name != "__dummy_id"]
    keys = [f"{quoted(columns.get(name, name))} AS {quoted(name)}" for name in names]
    moment = f"TIMESTAMPTZ '{end.isoformat()}' AS event_timestamp"
    rows = f"SELECT DISTINCT {', '.join([*keys, moment])} FROM {quoted(str(table))}"  # noqa: S608
    features = [f"{view.name}:{feature.name}" for feature in view.features]
    retrieval = store.get_historical_features(entity_df=rows, features=features)
    return cast("HistoricalJob", retrieval).joined


def _compare(
    store: "FeatureStore",
    view: "FeatureView",
    sample: list[dict[str, Any]],
    *,
    keys: list[str],
    features: list[str],
    rows: int,
) -> Facts:
    if not sample:
        return Facts(view.name, rows, 0, 0, 0, {})
    answer = store.get_online_features(
        features=[f"{view.name}:{feature}" for feature in features],
        entity_rows=[{key: row[key] for key in keys} for row in sample],
    ).to_dict()
    apart = dict.fromkeys(features, 0)
    missing = different = 0
    for place, row in enumerate(sample):
        wrong = [f for f in features if not _same(row[f], answer[f][place])]
        unknown = bool(wrong) and all(answer[f][place] is None for f in features)
        missing += unknown
        different += bool(wrong) and not unknown
        for feature in wrong:
            apart[feature] += 1
    differing = {feature: count for feature, count in apart.items() if count}
    return Facts(view.name, rows, len(sample), missing, different, differing)


def _same(offline: Any, online: Any) -> bool:
    match offline, online:
        case float(), int() | float():
            both_nan = math.isnan(offline) and math.isnan(online)
            return both_nan or math.isclose(offline, online, rel_tol=1e-6)
        case _:
            return bool(offline == online)
