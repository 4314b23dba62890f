-- what: the numbers of a night in the archive that suite `archive` judges
-- grain: one row
-- inputs: night_summary of one night; verified (what the check of each table found), statistics (cells)
-- owner: nightly
-- A column whose name ends in `_told` names what its number counts.
WITH summary AS (
    SELECT 'basic:' || name AS name, value FROM (
        SELECT unnest(map_keys(basic)) AS name, unnest(map_values(basic)) AS value FROM night_summary
    )
    UNION ALL
    SELECT 'class:' || name, value FROM (
        SELECT unnest(map_keys(class)) AS name, unnest(map_values(class)) AS value FROM night_summary
    )
),
cells AS (
    SELECT name, summary.value AS lake, statistics.value::BIGINT AS archive
    FROM summary LEFT JOIN statistics USING (name)
    WHERE summary.value IS DISTINCT FROM statistics.value
)
SELECT
    count(*) AS tables,
    count(*) FILTER (NOT current) AS tables_unverified,
    string_agg(table_name, ', ' ORDER BY table_name) FILTER (NOT current) AS tables_unverified_told,
    count(*) FILTER (found < rows) AS tables_short,
    string_agg(format('{}: {} of {} rows', table_name, found, rows), ', ' ORDER BY table_name)
        FILTER (found < rows) AS tables_short_told,
    count(*) FILTER (found > rows) AS tables_long,
    string_agg(format('{}: {} rows for {}', table_name, found, rows), ', ' ORDER BY table_name)
        FILTER (found > rows) AS tables_long_told,
    coalesce(sum(differing), 0)::BIGINT AS rows_differing,
    count(*) FILTER (lake_digest <> archive_digest) AS digests_differ,
    string_agg(table_name, ', ' ORDER BY table_name) FILTER (lake_digest <> archive_digest) AS digests_differ_told,
    (SELECT count(*) FROM cells) AS statistics_differ,
    (
        SELECT string_agg(format('{} is {} and not {}', name, coalesce(archive::VARCHAR, 'missing'), lake), ', ')
        FROM (SELECT * FROM cells ORDER BY name LIMIT 3)
    ) AS statistics_differ_told
FROM verified
