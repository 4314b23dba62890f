-- what: the sums of the nights of a month or of a year
-- grain: one row per table and name
-- inputs: night_summary of the nights
-- owner: nightly
-- Exposures and fields are not added to what other nights have: `fields` is the number of different fields.
WITH counts AS (
    SELECT 'basic' AS part, unnest(map_keys(basic)) AS name, unnest(map_values(basic)) AS number FROM night_summary
    UNION ALL
    SELECT 'class', unnest(map_keys(class)), unnest(map_values(class)) FROM night_summary
    UNION ALL
    SELECT 'filters', unnest(map_keys(filters)), unnest(map_values(filters)) FROM night_summary
    UNION ALL
    SELECT 'quality', unnest(map_keys(quality)), unnest(map_values(quality)) FROM night_summary
),
seen AS (
    SELECT unnest(fields) AS field FROM night_summary
),
pixels AS (
    SELECT unnest(coverage) AS pixel FROM night_summary
)
SELECT part, name, sum(number)::BIGINT AS number
FROM counts
WHERE NOT (part = 'basic' AND name IN ('night', 'fields'))
GROUP BY ALL
UNION ALL
SELECT 'basic', 'nights', count(*) FROM night_summary
UNION ALL
SELECT 'basic', 'fields', count(DISTINCT field.field) FROM seen
UNION ALL
SELECT 'basic', 'sky_pixels', count(DISTINCT pixel.pixel) FROM pixels
ORDER BY part, name
