-- what: the table `versions` of a night's summary
-- grain: one row per versioned thing; several versions in one night are joined by ';'
-- inputs: science of one night
-- owner: nightly
WITH of_modules AS (
    SELECT DISTINCT fink_versions FROM science
),
of_rows AS (
    SELECT DISTINCT
        process.broker_version AS broker, process.science_version AS science, finkclass_version, schemavsn
    FROM science
),
pairs AS (
    SELECT unnest(map_keys(fink_versions)) AS name, unnest(map_values(fink_versions)) AS version FROM of_modules
    UNION
    SELECT 'broker', broker FROM of_rows
    UNION
    SELECT 'science', science FROM of_rows
    UNION
    SELECT 'finkclass', finkclass_version FROM of_rows
    UNION
    SELECT 'schemavsn', schemavsn FROM of_rows
)
SELECT name, string_agg(DISTINCT version, ';' ORDER BY version) AS version
FROM pairs
WHERE version IS NOT NULL
GROUP BY name
