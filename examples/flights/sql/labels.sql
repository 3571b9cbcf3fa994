-- The labels that monitoring joins by id, from the curated flights.
SELECT flight_id AS id, late AS label, known_at
FROM flights
WHERE late IS NOT NULL
