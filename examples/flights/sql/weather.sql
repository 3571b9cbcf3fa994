-- Observations an hour apart; a row is known at its own time.
SELECT
    origin,
    CAST(time AS TIMESTAMPTZ) AS event_timestamp,
    temp,
    dewp,
    humid,
    wind_speed,
    coalesce(wind_gust, wind_speed) AS wind_gust,
    precip,
    pressure,
    visib,
    sum(precip) OVER (
        PARTITION BY origin ORDER BY CAST(time AS TIMESTAMPTZ) ROWS BETWEEN 2 PRECEDING AND CURRENT ROW
    ) AS precip_3h,
    pressure - lag(pressure, 3) OVER (
        PARTITION BY origin ORDER BY CAST(time AS TIMESTAMPTZ)
    ) AS pressure_change
FROM weather
