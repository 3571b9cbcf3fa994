-- What came true, by the id of the prediction; monitoring joins it.
SELECT home AS id, rent AS label, known_at
FROM homes
WHERE rent IS NOT NULL
