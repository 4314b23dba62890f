-- what: the sums of the nights of each month, or of each year
-- grain: one row per period, table and name
-- inputs: night_summary of the nights, with the period that each belongs to
-- owner: nightly
-- Fields and pixels of the sky are not added up: they are the number of different ones.
-- A night that never counted them has a list that is null; one that saw none has a list that is empty.
WITH counts AS (
    SELECT period, 'basic' AS part, unnest(map_keys(basic)) AS name, unnest(map_values(basic)) AS number
    FROM night_summary
    UNION ALL
    SELECT period, 'class', unnest(map_keys(class)), unnest(map_values(class)) FROM night_summary
    UNION ALL
    SELECT period, 'filters', unnest(map_keys(filters)), unnest(map_values(filters)) FROM night_summary
    UNION ALL
    SELECT period, 'quality', unnest(map_keys(quality)), unnest(map_values(quality)) FROM night_summary
),
seen AS (
    SELECT period, unnest(CASE WHEN len(fields) = 0 THEN [NULL] ELSE fields END) AS field
    FROM night_summary
    WHERE fields IS NOT NULL
),
pixels AS (
    SELECT period, unnest(CASE WHEN len(coverage) = 0 THEN [NULL] ELSE coverage END) AS pixel
    FROM night_summary
    WHERE coverage IS NOT NULL
)
SELECT period, part, name, sum(number)::BIGINT AS number
FROM counts
WHERE NOT (part = 'basic' AND name IN ('night', 'fields'))
GROUP BY ALL
UNION ALL
SELECT period, 'basic', 'nights', count(*) FROM night_summary GROUP BY period
UNION ALL
SELECT period, 'basic', 'fields', count(DISTINCT field.field) FROM seen GROUP BY period
UNION ALL
SELECT period, 'basic', 'sky_pixels', count(DISTINCT pixel.pixel) FROM pixels GROUP BY period
ORDER BY period, part, name
