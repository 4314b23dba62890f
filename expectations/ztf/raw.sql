-- what: the numbers of a night's raw rows that suite `raw` judges
-- grain: one row
-- inputs: raw, quarantine of one night; night; columns (of each table: as declared and as found)
-- owner: nightly
-- A number is null on a night with too few messages to tell; null passes every rule, and the verdict says so. A column
-- whose name ends in `_told` names what its number counts.
WITH messages AS (
    SELECT (SELECT count(*) FROM raw) AS good, (SELECT count(*) FROM quarantine) AS bad
),
alerts AS (
    SELECT
        candid, objectId, candidate.jd AS jd, candidate.ra AS ra, candidate.dec AS dec, candidate.magpsf AS magpsf,
        candidate.sigmapsf AS sigmapsf, candidate.pid AS pid, candidate.diffmaglim AS diffmaglim,
        candidate.ranr AS ranr, candidate.decnr AS decnr, candidate.distnr AS distnr,
        candidate.fid AS fid, candidate.rb AS rb, ingest.topic AS topic, ingest.partition AS part, ingest.offset AS off,
        ingest.sha256 AS sha256, epoch(ingest.kafka_time) / 86400.0 + 2440587.5 AS kafka_jd
    FROM raw
),
keys AS (
    SELECT unnest([
        {'name': 'jd', 'nulls': count(*) - count(jd)}, {'name': 'ra', 'nulls': count(*) - count(ra)},
        {'name': 'dec', 'nulls': count(*) - count(dec)}, {'name': 'magpsf', 'nulls': count(*) - count(magpsf)},
        {'name': 'sigmapsf', 'nulls': count(*) - count(sigmapsf)}, {'name': 'fid', 'nulls': count(*) - count(fid)},
        {'name': 'pid', 'nulls': count(*) - count(pid)}
    ]) AS key
    FROM alerts
),
-- One exposure shows an object once. When most objects of an exposure come twice, the exposure was processed twice. An
-- alert that was only sent again has its old id and is a duplicate.
exposures AS (
    SELECT jd, count(DISTINCT candid) AS alerts, count(DISTINCT objectId) AS objects
    FROM alerts
    WHERE jd IS NOT NULL AND objectId IS NOT NULL
    GROUP BY jd
    HAVING count(DISTINCT candid) >= 20
),
common_rb AS (
    SELECT rb, count(*) AS alerts FROM alerts WHERE rb IS NOT NULL GROUP BY rb ORDER BY alerts DESC, rb LIMIT 1
)
SELECT
    count(*) AS rows,
    (SELECT count(*) FROM columns WHERE declared IS DISTINCT FROM found) AS columns_wrong,
    (
        SELECT string_agg(format('{}.{}: {} and not {}', table_name, column_name, found, declared), ', ')
        FROM (SELECT * FROM columns WHERE declared IS DISTINCT FROM found ORDER BY ALL LIMIT 3)
    ) AS columns_wrong_told,
    count(*) FILTER (candid IS NULL) AS ids_null,
    count(*) FILTER (coalesce(objectId, '') = '') AS names_null,
    (SELECT sum(key.nulls) FROM keys)::BIGINT AS keys_null,
    (
        SELECT string_agg(format('{} of {}', key.nulls, key.name), ', ') FROM keys WHERE key.nulls > 0
    ) AS keys_null_told,
    count(*) - count(DISTINCT (topic, part, off)) AS offsets_repeated,
    (SELECT count(*) FROM exposures WHERE alerts >= 1.5 * objects) AS visits_doubled,
    (
        SELECT string_agg(format('jd {:.5f}: {} alerts of {} objects', jd, alerts, objects), ', ')
        FROM (SELECT * FROM exposures WHERE alerts >= 1.5 * objects ORDER BY jd LIMIT 3)
    ) AS visits_doubled_told,
    count(*) FILTER (sha256 IS NULL) AS digests_null,
    count(*) FILTER (NOT coalesce(ra >= 0 AND ra < 360 AND dec BETWEEN -90 AND 90, false)) AS positions_bad,
    CASE WHEN count(distnr) >= 100 THEN median(abs(3600.0 * sqrt(
        pow(((ra - ranr + 540.0) % 360.0 - 180.0) * cos(radians(dec)), 2) + pow(dec - decnr, 2)
    ) - distnr)) FILTER (abs(dec) < 89) END AS nearest_source_off_arcsec,
    count(*) FILTER (
        NOT coalesce(strftime(to_timestamp((jd - 2440587.5) * 86400.0), '%Y%m%d') = (SELECT night FROM night), false)
    ) AS times_outside_night,
    count(*) FILTER (kafka_jd < jd - 60.0 / 86400) AS times_after_kafka,
    CASE WHEN count(*) >= 100 THEN
        count(*) FILTER (kafka_jd BETWEEN jd - 1 AND jd - 60.0 / 86400) / count(*)
    END AS clock_ahead_share,
    format('by {:.0f} min', median((jd - kafka_jd) * 1440)) AS clock_ahead_share_told,
    count(*) FILTER (NOT coalesce(magpsf BETWEEN 5 AND 30, false)) AS magnitudes_bad,
    count(*) FILTER (NOT coalesce(diffmaglim BETWEEN 10 AND 25, true)) AS depths_bad,
    CASE WHEN count(rb) >= 200 THEN (SELECT alerts FROM common_rb) / count(rb) END AS rb_mode_share,
    (SELECT format('rb = {:.4f}', rb) FROM common_rb) AS rb_mode_share_told,
    count(*) FILTER (NOT coalesce(fid BETWEEN 1 AND 3, false)) AS bands_unknown,
    CASE WHEN count(*) >= 5000 THEN least(
        count(*) FILTER (fid = 1), count(*) FILTER (fid = 2)
    ) / count(*) END AS rarer_band_share,
    (SELECT CASE WHEN good + bad >= 1000 THEN bad / (good + bad) END FROM messages) AS quarantined_share
FROM alerts
