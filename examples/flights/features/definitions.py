"""Entities, feature views and the feature service, in Feast's own words."""

import datetime

from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.data_format import DeltaFormat
from feast.types import Float64, Int64

_TWO_MONTHS = datetime.timedelta(days=62)

origin = Entity(name="origin", value_type=ValueType.STRING, description="airport of departure")
carrier = Entity(name="carrier", value_type=ValueType.STRING, description="two-letter airline")
route = Entity(name="route", value_type=ValueType.STRING, description="origin and destination")
tailnum = Entity(name="tailnum", value_type=ValueType.STRING, description="one aircraft")


def curated(name: str) -> FileSource:
    """Name a curated table; every one says when its rows became known."""
    return FileSource(
        name=name,
        path=f"s3://falaj-curated/{name}",
        file_format=DeltaFormat(),
        timestamp_field="event_timestamp",
    )


weather = FeatureView(
    name="weather",
    entities=[origin],
    ttl=datetime.timedelta(hours=6),
    schema=[
        Field(name=name, dtype=Float64)
        for name in (
            "temp",
            "dewp",
            "humid",
            "wind_speed",
            "wind_gust",
            "precip",
            "pressure",
            "visib",
            "precip_3h",
            "pressure_change",
        )
    ],
    source=curated("weather"),
    description="the hour's observation at the airport of departure",
)

carrier_history = FeatureView(
    name="carrier_history",
    entities=[carrier],
    ttl=_TWO_MONTHS,
    schema=[
        Field(name="carrier_flights", dtype=Int64),
        Field(name="carrier_late_rate", dtype=Float64),
        Field(name="carrier_late_excess", dtype=Float64),
    ],
    source=curated("carrier_history"),
    description="how often an airline was late in the last month that is known",
)

route_history = FeatureView(
    name="route_history",
    entities=[route],
    ttl=_TWO_MONTHS,
    schema=[
        Field(name="route_flights", dtype=Int64),
        Field(name="route_late_rate", dtype=Float64),
        Field(name="route_late_excess", dtype=Float64),
    ],
    source=curated("route_history"),
    description="how often a route was late in the last month that is known",
)

planes = FeatureView(
    name="planes",
    entities=[tailnum],
    ttl=None,
    schema=[
        Field(name="plane_age", dtype=Float64),
        Field(name="seats", dtype=Int64),
        Field(name="engines", dtype=Int64),
    ],
    source=curated("planes"),
    description="what the register says about an aircraft",
)

lateness = FeatureService(
    name="lateness",
    features=[weather, carrier_history, route_history, planes],
    description="what the lateness models are told, besides the flight itself",
)
