-- what: the table `basic` of a night's summary
-- grain: one row per named count
-- inputs: raw, science, rejected, quarantine of one night; night
-- owner: nightly
-- raw = sci + rejected + duplicates; exposures and fields are those of the alerts that became science.
WITH statuses AS (
    SELECT unnest(map_keys(fink_status)) AS module, unnest(map_values(fink_status)) AS status
    FROM science
)
SELECT 'raw' AS name, count(*) AS number FROM raw
UNION ALL
SELECT 'sci', count(*) FROM science
UNION ALL
SELECT 'night', night::BIGINT FROM night
UNION ALL
SELECT 'n_g', count(*) FROM science WHERE candidate.fid = 1
UNION ALL
SELECT 'n_r', count(*) FROM science WHERE candidate.fid = 2
UNION ALL
SELECT 'exposures', count(DISTINCT candidate.jd) FROM science
UNION ALL
SELECT 'fields', count(DISTINCT candidate.field) FROM science
UNION ALL
SELECT 'rejected', count(*) FROM rejected WHERE reason <> 'duplicate'
UNION ALL
SELECT 'duplicates', count(*) FROM rejected WHERE reason = 'duplicate'
UNION ALL
SELECT 'quarantined', count(*) FROM quarantine
UNION ALL
SELECT 'unavailable_' || module, count(*) FILTER (status = 'unavailable') FROM statuses GROUP BY module
