-- One row a flight: what is known two hours before it is scheduled to depart, and, once known,
-- whether it arrived more than 15 minutes late. Codes are places in fixed lists, 0 = unknown, so
-- that they mean the same in every month. Cancelled and diverted flights have no label.
SELECT
    CAST(f.id AS VARCHAR) AS flight_id,
    f.origin,
    f.dest,
    f.carrier,
    f.tailnum,
    f.origin || '-' || f.dest AS route,
    f.scheduled_departure AS scheduled,
    f.scheduled_departure - INTERVAL 2 HOUR AS event_timestamp,
    f.departure_time // 100 + f.departure_time % 100 / 60.0::DOUBLE AS departure_hour,
    isodow(f.scheduled_departure AT TIME ZONE 'UTC' - INTERVAL 5 HOUR) AS weekday,
    f.distance,
    CAST(date_diff('minute', f.scheduled_departure, f.scheduled_arrival) AS DOUBLE) AS block_minutes,
    count(*) OVER (
        PARTITION BY f.origin, date_trunc('hour', f.scheduled_departure AT TIME ZONE 'UTC')
    ) AS hour_departures,
    TRY_CAST(p.lat AS DOUBLE) AS dest_lat,
    TRY_CAST(p.lon AS DOUBLE) AS dest_lon,
    CAST(coalesce(list_position([
        '9E', 'AA', 'AS', 'B6', 'DL', 'EV', 'F9', 'FL', 'HA', 'MQ', 'OO', 'UA', 'US', 'VX', 'WN',
        'YV'
    ], f.carrier), 0) AS BIGINT) AS carrier_code,
    CAST(coalesce(list_position(['EWR', 'JFK', 'LGA'], f.origin), 0) AS BIGINT) AS origin_code,
    CAST(coalesce(list_position([
        'ABQ', 'ACK', 'ALB', 'ANC', 'ATL', 'AUS', 'AVL', 'BDL', 'BGR', 'BHM', 'BNA', 'BOS',
        'BQN', 'BTV', 'BUF', 'BUR', 'BWI', 'BZN', 'CAE', 'CAK', 'CHO', 'CHS', 'CLE', 'CLT',
        'CMH', 'CRW', 'CVG', 'DAY', 'DCA', 'DEN', 'DFW', 'DSM', 'DTW', 'EGE', 'EYW', 'FLL',
        'GRR', 'GSO', 'GSP', 'HDN', 'HNL', 'HOU', 'IAD', 'IAH', 'ILM', 'IND', 'JAC', 'JAX',
        'LAS', 'LAX', 'LEX', 'LGA', 'LGB', 'MCI', 'MCO', 'MDW', 'MEM', 'MHT', 'MIA', 'MKE',
        'MSN', 'MSP', 'MSY', 'MTJ', 'MVY', 'MYR', 'OAK', 'OKC', 'OMA', 'ORD', 'ORF', 'PBI',
        'PDX', 'PHL', 'PHX', 'PIT', 'PSE', 'PSP', 'PVD', 'PWM', 'RDU', 'RIC', 'ROC', 'RSW',
        'SAN', 'SAT', 'SAV', 'SBN', 'SDF', 'SEA', 'SFO', 'SJC', 'SJU', 'SLC', 'SMF', 'SNA',
        'SRQ', 'STL', 'STT', 'SYR', 'TPA', 'TUL', 'TVC', 'TYS', 'XNA'
    ], f.dest), 0) AS BIGINT) AS dest_code,
    CAST(a.arr_delay > 15 AS BIGINT) AS late,
    a.known_at
FROM flights AS f
LEFT JOIN arrivals AS a ON a.flight_id = f.id
LEFT JOIN airports AS p ON p.faa = f.dest
