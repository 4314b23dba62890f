-- what: the numbers of a night that later nights are compared with; they are kept in table `quality`
-- grain: one row per number
-- inputs: raw, science, quarantine, sent of one night
-- owner: nightly
-- Shares lie between 0 and 1. An alert that came more than once counts once, as it came first. What the selections of
-- the night send (`select-…`) comes after the gate and is left out.
WITH alerts AS (
    SELECT
        candidate.jd AS jd, candidate.ra AS ra, candidate.dec AS dec, candidate.ranr AS ranr, candidate.decnr AS decnr,
        candidate.distnr AS distnr, candidate.magpsf AS magpsf, candidate.diffmaglim AS diffmaglim,
        candidate.rb AS rb, candidate.fid AS fid, candidate.field AS field,
        epoch(ingest.kafka_time) - (candidate.jd - 2440587.5) * 86400.0 AS delay_s
    FROM raw
    QUALIFY row_number() OVER (PARTITION BY candid ORDER BY ingest.kafka_time, ingest.topic, ingest.offset) = 1
),
total AS (
    SELECT (SELECT count(*) FROM alerts) AS alerts, (SELECT count(*) FROM science) AS science
),
statuses AS (
    SELECT unnest(map_keys(fink_status)) AS module, unnest(map_values(fink_status)) AS status FROM science
),
modules AS (
    SELECT
        module, count(*) AS alerts, count(*) FILTER (status = 'ok') AS ok,
        count(*) FILTER (status IN ('ok', 'no_match')) AS consulted,
        count(*) FILTER (status = 'no_match') AS no_match,
        count(*) FILTER (status = 'failed') AS failed, count(*) FILTER (status = 'unavailable') AS unavailable
    FROM statuses
    GROUP BY module
),
places AS (
    SELECT
        field, avg(cos(radians(dec)) * cos(radians(ra))) AS x, avg(cos(radians(dec)) * sin(radians(ra))) AS y,
        avg(sin(radians(dec))) AS z
    FROM alerts
    WHERE field IS NOT NULL AND ra IS NOT NULL AND dec IS NOT NULL
    GROUP BY field
    HAVING count(*) >= 20
),
spreads AS (
    SELECT
        [
            {'name': '05', 'value': quantile_cont(magpsf, 0.05)}, {'name': '50', 'value': quantile_cont(magpsf, 0.5)},
            {'name': '95', 'value': quantile_cont(magpsf, 0.95)}
        ] AS magnitude,
        [
            {'name': '05', 'value': quantile_cont(delay_s, 0.05)}, {'name': '50', 'value': quantile_cont(delay_s, 0.5)},
            {'name': '95', 'value': quantile_cont(delay_s, 0.95)}
        ] AS delay_s
    FROM alerts
),
per_exposure AS (
    SELECT count(*) AS alerts FROM alerts GROUP BY jd
),
plain AS (
    SELECT 'alerts' AS name, alerts::DOUBLE AS value FROM total
    UNION ALL
    SELECT 'science', science FROM total
    UNION ALL
    SELECT 'quarantined', count(*) FROM quarantine
    UNION ALL
    SELECT 'exposures', count(DISTINCT jd) FROM alerts
    UNION ALL
    SELECT 'fields', count(DISTINCT field) FROM alerts
    UNION ALL
    SELECT 'alerts_per_exposure', median(alerts) FROM per_exposure
    UNION ALL
    SELECT 'passing_share', science / nullif(alerts, 0) FROM total
    UNION ALL
    SELECT 'rb.median', median(rb) FROM alerts
    UNION ALL
    SELECT 'depth.median', median(diffmaglim) FROM alerts
    UNION ALL
    SELECT
        'nearest_source_off_arcsec',
        median(abs(3600.0 * sqrt(
            pow(((ra - ranr + 540.0) % 360.0 - 180.0) * cos(radians(dec)), 2) + pow(dec - decnr, 2)
        ) - distnr))
    FROM alerts
    WHERE abs(dec) < 89
),
grouped AS (
    SELECT 'magnitude.p' || part.name, part.value FROM (SELECT unnest(magnitude) AS part FROM spreads)
    UNION ALL
    SELECT 'delay_s.p' || part.name, part.value FROM (SELECT unnest(delay_s) AS part FROM spreads)
    UNION ALL
    SELECT 'band.' || fid, count(*) / any_value(total.alerts) FROM alerts, total GROUP BY fid
    UNION ALL
    SELECT 'class.' || coalesce(finkclass, 'unavailable'), count(*) / any_value(total.science)
    FROM science, total GROUP BY ALL
    UNION ALL
    SELECT 'filter.' || filter, count(*) / any_value(total.science)
    FROM sent, total WHERE NOT starts_with(coalesce(batch, ''), 'select-') GROUP BY filter
    UNION ALL
    SELECT 'consulted.' || module, consulted FROM modules WHERE no_match > 0
    UNION ALL
    SELECT 'match.' || module, ok / consulted FROM modules WHERE no_match > 0
    UNION ALL
    SELECT 'failed.' || module, failed / alerts FROM modules
    UNION ALL
    SELECT 'unavailable.' || module, unavailable / alerts FROM modules
    UNION ALL
    SELECT 'field.' || field || '.x', x FROM places
    UNION ALL
    SELECT 'field.' || field || '.y', y FROM places
    UNION ALL
    SELECT 'field.' || field || '.z', z FROM places
)
SELECT name, value::DOUBLE AS value
FROM (SELECT * FROM plain UNION ALL SELECT * FROM grouped)
WHERE value IS NOT NULL AND isfinite(value::DOUBLE)
ORDER BY name
