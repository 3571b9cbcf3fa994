"""What Feast gets back from the offline store: jobs that run when their rows are asked for."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd
import pyarrow as pa
from feast import OnDemandFeatureView
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata

from components.features.offline_store import asof
from components.features.offline_store.sources import Sources
from components.foundation import engine
from components.foundation.errors import UserError


class _Job(RetrievalJob):
    """A job whose rows are Arrow first and pandas only on demand."""

    @property
    def full_feature_names(self) -> bool:
        return False

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        return []

    @property
    def metadata(self) -> RetrievalMetadata | None:
        return None

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        return self._to_arrow_internal(timeout).to_pandas()


class PullJob(_Job):
    """The rows of one source between two times."""

    def __init__(self, sources: Sources, query: str) -> None:
        self._sources, self._query = sources, query

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        with _translated(), self._sources.connect() as connection:
            rows: pa.Table = connection.sql(self._query).to_arrow_table()
            return rows

    def to_sql(self) -> str:
        return self._query


@dataclass(eq=False)
class HistoricalJob(_Job):
    """Entity rows with the features known at each row's time.

    Attributes:
        sources: the tables that entity rows and features come from.
        entities: a data frame, a table reference, or a SELECT over references.
        views: what to join.
        timestamp: the entities' time column.
        as_written: count only what had been written by each row's time.
        prefixed: whether features are named `view__feature`.
        on_demand: views that are computed from the joined rows.
        about: what Feast asks of a job.
    """

    sources: Sources
    entities: pd.DataFrame | str
    views: Sequence[asof.View]
    timestamp: str
    as_written: bool
    prefixed: bool
    on_demand: Sequence[OnDemandFeatureView]
    about: RetrievalMetadata

    @cached_property
    def joined(self) -> asof.Joined:
        """Run the join; the rows stay in DuckDB until they are read."""
        with _translated():
            connection = self.sources.connect()
            query = self.sources.entities(connection, self.entities)
            return asof.join(
                connection,
                query,
                self.views,
                timestamp=self.timestamp,
                as_written=self.as_written,
            )

    def streamed(self) -> AbstractContextManager[pa.RecordBatchReader]:
        """Open the rows as a stream; views computed on demand need the whole table first."""
        return self.to_arrow().to_reader() if self.on_demand else self.joined.streamed()

    @property
    def full_feature_names(self) -> bool:
        return self.prefixed

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        return list(self.on_demand)

    @property
    def metadata(self) -> RetrievalMetadata:
        return self.about

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        return self.joined.table()


@contextmanager
def _translated() -> Iterator[Any]:
    """Turn what DuckDB says about a query into our error."""
    import duckdb

    try:
        yield
    except (duckdb.BinderException, duckdb.ParserException, duckdb.CatalogException) as error:
        raise UserError(
            f"features: {' '.join(str(error).split())[:400]}; compare the definitions with the "
            "columns of their tables",
            code="features-do-not-fit",
        ) from error
    except duckdb.ConversionException as error:
        raise UserError(
            f"features: {engine.reason(error)}; cast it in the SQL of its table",
            code="features-do-not-fit",
        ) from error
