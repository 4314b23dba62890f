-- what: the numbers of a night's raw rows that suite `raw` judges
-- grain: one row
-- inputs: raw, quarantine of one night; night
-- owner: nightly
-- A share is null on a night with too few messages to tell; null passes every rule.
WITH messages AS (
    SELECT (SELECT count(*) FROM raw) AS good, (SELECT count(*) FROM quarantine) AS bad
),
alerts AS (
    SELECT
        candid, objectId, candidate.jd AS jd, candidate.ra AS ra, candidate.dec AS dec, candidate.magpsf AS magpsf,
        candidate.fid AS fid, ingest.topic AS topic, ingest.partition AS part, ingest.offset AS off,
        ingest.sha256 AS sha256, epoch(ingest.kafka_time) / 86400.0 + 2440587.5 AS kafka_jd
    FROM raw
)
SELECT
    count(*) AS rows,
    count(*) FILTER (candid IS NULL) AS ids_null,
    count(*) FILTER (coalesce(objectId, '') = '') AS names_null,
    count(*) - count(DISTINCT (topic, part, off)) AS offsets_repeated,
    count(*) FILTER (sha256 IS NULL) AS digests_null,
    count(*) FILTER (NOT coalesce(ra >= 0 AND ra < 360 AND dec BETWEEN -90 AND 90, false)) AS positions_bad,
    count(*) FILTER (
        NOT coalesce(strftime(to_timestamp((jd - 2440587.5) * 86400.0), '%Y%m%d') = (SELECT night FROM night), false)
    ) AS times_outside_night,
    count(*) FILTER (kafka_jd < jd - 60.0 / 86400) AS times_after_kafka,
    count(*) FILTER (NOT coalesce(magpsf BETWEEN 5 AND 30, false)) AS magnitudes_bad,
    count(*) FILTER (NOT coalesce(fid BETWEEN 1 AND 3, false)) AS bands_unknown,
    CASE WHEN count(*) >= 5000 THEN least(
        count(*) FILTER (fid = 1), count(*) FILTER (fid = 2)
    ) / count(*) END AS rarer_band_share,
    (SELECT CASE WHEN good + bad >= 1000 THEN bad / (good + bad) END FROM messages) AS quarantined_share
FROM alerts
