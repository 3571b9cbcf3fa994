-- How often each route was late in a month, from the curated flights; known when its arrivals are.
-- Rates are shrunk towards everybody's as if 30 more flights had been average, so that a route of
-- four flights does not shout.
WITH months AS (
    SELECT known_at, avg(late) AS late_rate
    FROM flights
    WHERE late IS NOT NULL
    GROUP BY known_at
)

SELECT
    f.route,
    f.known_at AS event_timestamp,
    count(*) AS route_flights,
    (sum(f.late) + 30 * any_value(m.late_rate)) / (count(*) + 30) AS route_late_rate,
    (sum(f.late) + 30 * any_value(m.late_rate)) / (count(*) + 30) - any_value(m.late_rate)
        AS route_late_excess
FROM flights AS f
JOIN months AS m ON m.known_at = f.known_at
WHERE f.late IS NOT NULL
GROUP BY f.route, f.known_at
