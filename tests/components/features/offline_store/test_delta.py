"""The store through Feast's own API, over Delta tables on a real S3 server."""

import datetime
from typing import Any

import pandas as pd
import pytest

from components.foundation.errors import UserError
from components.foundation.storage import Settings

NOON = pd.Timestamp("2013-01-01T12:00:00Z")


def opened(small: Any, s3: Settings, tmp_path: Any, *, pinned: Any = ()) -> Any:
    from components.features.apply_features.apply import apply
    from components.features.repository import Repository

    repository = Repository.load(small.package, s3.environment(), cache=tmp_path / "cache")
    apply(repository)
    return repository.store(pinned)


@pytest.fixture
def feast_store(small: Any, s3: Settings, tmp_path: Any) -> Any:
    small.observe(("EWR", 0, 0, 1.0), ("EWR", 2, 2, 2.0), ("EWR", 2, 9, 3.0), ("JFK", -9, -9, 4.0))
    return opened(small, s3, tmp_path)


def _frame(*rows: tuple[str, float]) -> pd.DataFrame:
    stamps = [NOON + pd.Timedelta(hours=at) for _, at in rows]
    return pd.DataFrame({"origin": [key for key, _ in rows], "event_timestamp": stamps})


FEATURES = ["weather:temp", "weather:gusts"]


def test_a_frame_keeps_every_row_that_stock_feast_loses(feast_store: Any) -> None:
    rows = _frame(("EWR", 3), ("EWR", 3), ("EWR", -1), ("JFK", 0), ("LGA", 0), ("EWR", 1))

    joined = feast_store.get_historical_features(rows, FEATURES).to_df()

    # twice the same, the future, an expired value, an unknown key
    assert joined["temp"].fillna(-1).tolist() == [3.0, 3.0, -1, -1, -1, 1.0]
    assert joined["gusts"].fillna(-1).tolist() == [2, 2, -1, -1, -1, 0]


def test_stock_feast_still_loses_rows_and_agrees_on_the_others(
    small: Any, feast_store: Any, tmp_path: Any
) -> None:
    """When this fails because nothing is lost, our store has lost one of its reasons."""
    rows = _frame(("EWR", 3), ("EWR", 3), ("EWR", -1), ("JFK", 0), ("LGA", 0), ("EWR", 1))

    stock = _stock(small, feast_store, tmp_path).get_historical_features(rows, FEATURES).to_df()

    ours = feast_store.get_historical_features(rows, FEATURES).to_df()
    keys = ["origin", "event_timestamp"]
    both = stock.merge(ours.drop_duplicates(keys), on=keys, suffixes=("", "_ours"))
    assert (len(stock), len(both)) == (3, 3)
    assert both["temp"].equals(both["temp_ours"])


def _stock(small: Any, feast_store: Any, tmp_path: Any) -> Any:
    """Open the same definitions over the same rows in a Parquet file, with Feast's default."""
    import pyarrow.parquet as pq
    from feast import FeatureStore, FileSource, RepoConfig

    file = tmp_path / "weather.parquet"
    pq.write_table(small.tables.read(small.weather), file)
    view = feast_store.get_feature_view("weather")
    view.batch_source = FileSource(
        name="weather",
        path=str(file),
        timestamp_field="seen",
        created_timestamp_column="written",
        field_mapping={"gust_count": "gusts"},
    )
    online = {"type": "sqlite", "path": str(tmp_path / "stock-online.db")}
    registry = str(tmp_path / "stock-registry.db")
    config = RepoConfig(project="stock", provider="local", registry=registry, online_store=online)
    store = FeatureStore(config=config)
    store.apply([feast_store.get_entity("origin"), view])
    return store


def test_the_created_timestamp_cut_is_feasts_own_option(feast_store: Any) -> None:
    rows = _frame(("EWR", 3), ("EWR", 7), ("EWR", 8))

    cut = feast_store.get_historical_features(rows, FEATURES, filter_by_created_timestamp=True)

    assert cut.to_df()["temp"].fillna(-1).tolist() == [2.0, 2.0, 2.0]


def test_entity_rows_may_be_a_reference_or_a_query(small: Any, feast_store: Any) -> None:
    ref = small.fly(("EWR", 3, 1), ("LGA", 3, 0))
    query = f'SELECT origin, event_timestamp FROM "{ref}" WHERE late = 1'

    table = feast_store.get_historical_features(str(ref), FEATURES).to_arrow()
    chosen = feast_store.get_historical_features(query, FEATURES).to_arrow()

    assert table.column("temp").to_pylist() == [3.0, None]
    assert chosen.column("temp").to_pylist() == [3.0]


def test_full_feature_names_carry_the_view(feast_store: Any) -> None:
    joined = feast_store.get_historical_features(
        _frame(("EWR", 3)), ["weather:temp"], full_feature_names=True
    )

    assert "weather__temp" in joined.to_df().columns


def test_a_pinned_version_is_read_although_there_is_a_newer_one(
    small: Any, s3: Settings, tmp_path: Any
) -> None:
    pinned = small.observe(("EWR", 0, 0, 1.0))
    small.observe(("EWR", 1, 1, 2.0))
    rows = _frame(("EWR", 3))

    then = opened(small, s3, tmp_path, pinned=[pinned]).get_historical_features(rows, FEATURES)
    now = opened(small, s3, tmp_path).get_historical_features(rows, FEATURES)

    assert then.to_df()["temp"].tolist() == [1.0]
    assert now.to_df()["temp"].tolist() == [2.0]


def test_pull_latest_takes_the_newest_row_of_a_key_in_the_range(feast_store: Any) -> None:
    rows = _pull(feast_store, "pull_latest_from_table_or_query")

    assert rows.select(["origin", "temp"]).to_pylist() == [{"origin": "EWR", "temp": 3.0}]


def test_pull_all_takes_every_row_in_the_range(feast_store: Any) -> None:
    rows = _pull(feast_store, "pull_all_from_table_or_query")

    assert sorted(rows.column("temp").to_pylist()) == [1.0, 2.0, 3.0]


def _pull(store: Any, method: str) -> Any:
    from components.features.offline_store.delta import DeltaOfflineStore

    view = store.get_feature_view("weather")
    job = getattr(DeltaOfflineStore, method)(
        config=store.config,
        data_source=view.batch_source,
        join_key_columns=["origin"],
        feature_name_columns=["temp"],
        timestamp_field="seen",
        created_timestamp_column="written",
        start_date=NOON.to_pydatetime(),
        end_date=NOON.to_pydatetime() + datetime.timedelta(hours=2),
    )
    return job.to_arrow()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (None, "no entity rows"),
        ("SELECT * FROM elsewhere", "table 'elsewhere'; expected quoted references"),
        ('SELECT origin FROM "s3://falaj-curated/nowhere@latest"', "not found"),
        ("SELECT 1 AS origin, now() AS event_timestamp, 2 AS temp", "already comes from"),
    ],
    ids=["none", "another source", "no such table", "a feature twice"],
)
def test_says_what_is_wrong_with_entity_rows(feast_store: Any, rows: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        feast_store.get_historical_features(rows, FEATURES).to_arrow()


def test_a_source_that_is_no_delta_table_on_s3_is_refused(
    small: Any, s3: Settings, tmp_path: Any
) -> None:
    small.redefine("s3://falaj-curated", "/data")
    store = opened(small, s3, tmp_path)

    with pytest.raises(UserError, match="expected FileSource"):
        store.get_historical_features(_frame(("EWR", 3)), FEATURES)


def test_a_feature_that_its_table_lacks_is_named(small: Any, s3: Settings, tmp_path: Any) -> None:
    small.observe(("EWR", 0, 0, 1.0))
    small.redefine('name="temp"', 'name="tepm"')
    store = opened(small, s3, tmp_path)

    with pytest.raises(UserError, match="tepm"):
        store.get_historical_features(_frame(("EWR", 3)), ["weather:tepm"]).to_arrow()
