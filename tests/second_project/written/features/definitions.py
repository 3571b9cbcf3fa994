"""Entities, feature views and the feature service, in Feast's own words."""

import datetime

from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.data_format import DeltaFormat
from feast.types import Float64

district = Entity(name="district", value_type=ValueType.STRING, description="part of the city")

district_rents = FeatureView(
    name="district_rents",
    entities=[district],
    ttl=datetime.timedelta(days=365),
    schema=[Field(name="district_rent", dtype=Float64)],
    source=FileSource(
        name="district_rents",
        path="s3://falaj-curated/district_rents",
        file_format=DeltaFormat(),
        timestamp_field="event_timestamp",
    ),
    description="what a square metre let for lately",
)

service = FeatureService(
    name="rents",
    features=[district_rents],
    description="what the model is told, besides the home itself",
)
