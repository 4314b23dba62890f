-- what: the table `latency` of a night's summary
-- grain: one row per named time, seconds
-- inputs: science, sent of one night
-- owner: nightly
-- Counted from Kafka's time of the alert: received (row of raw), science (row of science), sent (in a user's topic; of an
-- alert that several filters took, each message counts). What was sent late, or by a selection of the night, is left
-- out. exposure: from the exposure to Kafka, which is the survey's own time.
WITH alerts AS (
    SELECT
        candid, ingest.kafka_time AS kafka, ingest.ingested AS received, process.ended AS finished,
        (candidate.jd - 2440587.5) * 86400.0 AS exposed_s
    FROM science
),
live AS (
    SELECT alert_id, sent_time
    FROM sent
    WHERE NOT coalesce(late, false) AND NOT starts_with(coalesce(batch, ''), 'select-')
),
times AS (
    SELECT 'exposure_s' AS name, epoch(kafka) - exposed_s AS seconds FROM alerts
    UNION ALL
    SELECT 'received_s', epoch(received) - epoch(kafka) FROM alerts
    UNION ALL
    SELECT 'science_s', epoch(finished) - epoch(kafka) FROM alerts
    UNION ALL
    SELECT 'sent_s', epoch(sent_time) - epoch(kafka) FROM live JOIN alerts ON alerts.candid = live.alert_id
),
spreads AS (
    SELECT
        name, quantile_cont(seconds, 0.5) AS p50, quantile_cont(seconds, 0.95) AS p95,
        quantile_cont(seconds, 0.99) AS p99
    FROM times
    WHERE seconds IS NOT NULL
    GROUP BY name
)
SELECT name || '.p50' AS name, round(p50, 3) AS seconds FROM spreads
UNION ALL
SELECT name || '.p95', round(p95, 3) FROM spreads
UNION ALL
SELECT name || '.p99', round(p99, 3) FROM spreads
