-- One row a listed home: what is known that day, and, once let, its yearly rent in dirhams.
SELECT
    home,
    district,
    CAST(listed AS TIMESTAMPTZ) AS listed,
    CAST(listed AS TIMESTAMPTZ) AS event_timestamp,
    area,
    bedrooms,
    floor,
    CAST(sea_view AS BIGINT) AS sea_view,
    rent,
    CASE WHEN rent IS NOT NULL THEN CAST(listed AS TIMESTAMPTZ) + INTERVAL 21 DAY END AS known_at
FROM listings
