-- How often each carrier was late in a month, from the curated flights; known when its arrivals are.
WITH months AS (
    SELECT known_at, avg(late) AS late_rate
    FROM flights
    WHERE late IS NOT NULL
    GROUP BY known_at
)

SELECT
    f.carrier,
    f.known_at AS event_timestamp,
    count(*) AS carrier_flights,
    avg(f.late) AS carrier_late_rate,
    avg(f.late) - any_value(m.late_rate) AS carrier_late_excess
FROM flights AS f
JOIN months AS m ON m.known_at = f.known_at
WHERE f.late IS NOT NULL
GROUP BY f.carrier, f.known_at
