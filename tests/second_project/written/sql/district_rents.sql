-- What a square metre of a district let for among the last two hundred homes.
SELECT
    district,
    known_at AS event_timestamp,
    avg(rent / area) OVER lately AS district_rent
FROM homes
WHERE rent IS NOT NULL
WINDOW lately AS (
    PARTITION BY district ORDER BY known_at, home ROWS BETWEEN 199 PRECEDING AND CURRENT ROW
)
QUALIFY row_number() OVER (PARTITION BY district, known_at ORDER BY home DESC) = 1
