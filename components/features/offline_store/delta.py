"""The offline store that feature_store.yaml names; Feast imports this module.

    offline_store:
      type: components.features.offline_store.delta.DeltaOfflineStore
      cache: ${FALAJ_CACHE}

Sources are Feast's own `FileSource(path="s3://...", file_format=DeltaFormat())`. Entity rows
may be a data frame, a table reference, or a SELECT over quoted table references:
`SELECT origin, event_timestamp FROM "s3://falaj-curated/flights@7"`.
"""

import datetime
import pathlib
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
import pydantic
from feast import FeatureView, FileSource
from feast.data_source import DataSource
from feast.feature_view import DUMMY_ENTITY_ID
from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalJob, RetrievalMetadata
from feast.infra.registry.base_registry import BaseRegistry
from feast.repo_config import FeastConfigBaseModel, RepoConfig
from feast.utils import (
    _get_requested_feature_views_to_features_dict,
    _get_requested_on_demand_feature_views,
)

from components.features import settings
from components.features.offline_store import asof
from components.features.offline_store.job import HistoricalJob, PullJob
from components.features.offline_store.sources import Sources
from components.foundation.errors import UserError
from components.foundation.tables import TableRef, Tables

EVENT_TIMESTAMP = "event_timestamp"
TYPE = "components.features.offline_store.delta.DeltaOfflineStore"


class DeltaOfflineStoreConfig(FeastConfigBaseModel):
    """What feature_store.yaml may say about the offline store.

    Attributes:
        type: this store's import path.
        cache: folder for data files, which never change.
        memory_limit: of DuckDB, such as "1GB"; "" is DuckDB's own default.
        versions: table URI -> version to read; tables not named are read at their latest.
    """

    type: str = TYPE
    cache: str = str(pathlib.Path(tempfile.gettempdir()) / "falaj-cache")
    memory_limit: str = ""
    versions: Mapping[str, int] = pydantic.Field(default_factory=dict)


class DeltaOfflineStore(OfflineStore):
    """Delta tables on S3, joined by DuckDB; rows out are rows in."""

    supports_filter_by_created_timestamp = True

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame | str | None,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        filter_by_created_timestamp: bool = False,
        **dates: Any,
    ) -> RetrievalJob:
        """Join features to entity rows when the job is executed."""
        if entity_df is None:
            raise UserError(
                "get_historical_features: no entity rows; give a data frame, a table reference "
                "or a SELECT, since a range of dates alone does not say which rows to make",
                code="entity-rows",
            )
        on_demand = _get_requested_on_demand_feature_views(feature_refs, project, registry)
        requested, _ = _get_requested_feature_views_to_features_dict(
            feature_refs, feature_views, on_demand
        )
        sources = _sources(config)
        timestamp = _event_timestamp(entity_df)
        return HistoricalJob(
            sources=sources,
            entities=entity_df,
            views=[
                _view(sources, view, features, prefixed=full_feature_names)
                for view, features in requested.items()
            ],
            timestamp=timestamp,
            as_written=filter_by_created_timestamp,
            prefixed=full_feature_names,
            on_demand=on_demand,
            about=RetrievalMetadata(features=feature_refs, keys=_keys(entity_df, timestamp)),
        )

    @staticmethod
    def pull_latest_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime.datetime,
        end_date: datetime.datetime,
    ) -> RetrievalJob:
        """Select the newest row of every key in a range of times."""
        sources = _sources(config)
        view = _rows(
            sources,
            data_source,
            join_key_columns,
            feature_name_columns,
            timestamp_field,
            created_timestamp_column,
        )
        query = asof.latest(view, start_us=_us(start_date), end_us=_us(end_date))
        return PullJob(sources, query)

    @staticmethod
    def pull_all_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime.datetime | None = None,
        end_date: datetime.datetime | None = None,
    ) -> RetrievalJob:
        """Select every row in a range of times."""
        sources = _sources(config)
        view = _rows(
            sources,
            data_source,
            join_key_columns,
            feature_name_columns,
            timestamp_field,
            created_timestamp_column,
        )
        start, end = (None if date is None else _us(date) for date in (start_date, end_date))
        return PullJob(sources, asof.every(view, start_us=start, end_us=end))

    def validate_data_source(self, config: RepoConfig, data_source: DataSource) -> None:
        """Raise UserError unless the table is there and has its time column."""
        sources = _sources(config)
        schema = sources.schema(_ref(config, data_source))
        if data_source.timestamp_field not in schema.names:
            raise UserError(
                f"{_path(data_source)}: no column {data_source.timestamp_field!r}; it has "
                f"{', '.join(schema.names)}",
                code="column-unknown",
            )

    def get_table_column_names_and_types_from_data_source(
        self, config: RepoConfig, data_source: DataSource
    ) -> Iterable[tuple[str, str]]:
        """List columns and Arrow types, for views that declare no schema."""
        schema = _sources(config).schema(_ref(config, data_source))
        return [(field.name, str(field.type)) for field in schema]


def _sources(config: RepoConfig) -> Sources:
    store = config.offline_store
    return Sources(
        Tables(settings.object_store()),
        cache=pathlib.Path(store.cache),
        memory_limit=store.memory_limit,
        versions=dict(store.versions),
    )


def _view(
    sources: Sources, view: FeatureView, features: Sequence[str], *, prefixed: bool
) -> asof.View:
    source = _file(view.batch_source)
    columns = {name: column for column, name in source.field_mapping.items()}
    name = str(view.projection.name_to_use())  # type: ignore[no-untyped-call]
    keys = [column.name for column in view.entity_columns if column.name != DUMMY_ENTITY_ID]
    return asof.View(
        name=name,
        source=sources.expression(sources.ref(_path(source))),
        keys={view.projection.join_key_map.get(key, key): columns.get(key, key) for key in keys},
        features={f"{name}__{f}" if prefixed else f: columns.get(f, f) for f in features},
        timestamp=columns.get(source.timestamp_field, source.timestamp_field),
        created=columns.get(source.created_timestamp_column, source.created_timestamp_column),
        ttl=view.ttl or None,
    )


def _rows(
    sources: Sources,
    source: DataSource,
    keys: Sequence[str],
    features: Sequence[str],
    timestamp: str,
    created: str | None,
) -> asof.View:
    return asof.View(
        name=source.name,
        source=sources.expression(sources.ref(_path(source))),
        keys={key: key for key in keys},
        features={feature: feature for feature in features},
        timestamp=timestamp,
        created=created or "",
    )


def _ref(config: RepoConfig, source: DataSource) -> TableRef:
    return _sources(config).ref(_path(source))


def _path(source: DataSource) -> str:
    return str(_file(source).path).rstrip("/")


def _file(source: DataSource | None) -> FileSource:
    if isinstance(source, FileSource) and str(source.path).startswith("s3://"):
        return source
    raise UserError(
        f"data source {source.name if source else None!r}: expected FileSource("
        "path='s3://bucket/table', file_format=DeltaFormat())",
        code="feature-source",
    )


def _event_timestamp(entities: pd.DataFrame | str) -> str:
    """Find the time column: event_timestamp, else a frame's only column of times."""
    if isinstance(entities, str) or EVENT_TIMESTAMP in entities.columns:
        return EVENT_TIMESTAMP
    times = list(entities.select_dtypes(include=["datetime", "datetimetz"]).columns)
    return str(times[0]) if len(times) == 1 else EVENT_TIMESTAMP


def _keys(entities: pd.DataFrame | str, timestamp: str) -> list[str]:
    if isinstance(entities, str):
        return []
    return [str(column) for column in entities.columns if column != timestamp]


def _us(moment: datetime.datetime) -> int:
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    return (zoned - epoch) // datetime.timedelta(microseconds=1)
