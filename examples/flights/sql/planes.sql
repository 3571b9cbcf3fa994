-- The registry of aircraft; it is older than every flight.
SELECT
    tailnum,
    CAST('2012-01-01T00:00:00Z' AS TIMESTAMPTZ) AS event_timestamp,
    2013.0::DOUBLE - TRY_CAST(year AS DOUBLE) AS plane_age,
    TRY_CAST(seats AS BIGINT) AS seats,
    TRY_CAST(engines AS BIGINT) AS engines
FROM planes
