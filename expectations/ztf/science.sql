-- what: the numbers of a night's science rows that suite `science` judges
-- grain: one row
-- inputs: raw, science, rejected of one night; installed and past_versions (name, version)
-- owner: nightly
-- A number is null on a night with too few alerts to tell; null passes every rule, and the verdict says so. A column
-- whose name ends in `_told` names what its number counts.
WITH alerts AS (
    SELECT
        *, candidate.nbad AS nbad, candidate.rb AS rb, candidate.fid AS fid,
        list_filter(map_values(fink_status), lambda s: s = 'failed') AS failed,
        list_filter(map_values(fink_status), lambda s: s = 'unavailable') AS unavailable,
        list_filter(
            map_values(fink_status),
            lambda s: s NOT IN ('ok', 'no_match', 'not_applicable', 'unavailable', 'failed')
        ) AS unknown_words
    FROM science
),
statuses AS (
    SELECT unnest(map_keys(fink_status)) AS module, unnest(map_values(fink_status)) AS status FROM science
),
-- A module's share counts the alerts that it applies to; a module that applies to few cannot be judged by it.
broken AS (
    SELECT module, count(*) FILTER (status = 'failed') / count(*) AS share
    FROM statuses
    WHERE status <> 'not_applicable'
    GROUP BY module
    HAVING count(*) >= 100 AND share > 0.05
),
absent AS (
    SELECT module, count(*) FILTER (status = 'unavailable') / count(*) AS share
    FROM statuses
    GROUP BY module
    HAVING share > 0
),
scores AS (
    SELECT unnest([
        rf_snia_vs_nonia, rf_kn_vs_nonkn, snn_snia_vs_nonia, snn_sn_vs_all, mulens, agn_score
    ]) AS score
    FROM science
),
-- Catalogues change by themselves, some every day: their versions are told in the summary and judged nowhere.
versions AS (
    SELECT DISTINCT unnest(map_keys(fink_versions)) AS name, unnest(map_values(fink_versions)) AS version
    FROM (SELECT DISTINCT fink_versions FROM science)
),
judged_versions AS (
    SELECT * FROM versions WHERE NOT starts_with(name, 'catalog.')
),
strange AS (
    SELECT name, version, (SELECT max(installed.version) FROM installed WHERE installed.name = one.name) AS here
    FROM judged_versions AS one
    WHERE name IN (SELECT name FROM installed)
        AND (name, version) NOT IN (SELECT (name, version) FROM installed)
        AND (name, version) NOT IN (SELECT (name, version) FROM past_versions)
),
mixed AS (
    SELECT name FROM judged_versions GROUP BY name HAVING count(*) > 1
)
SELECT
    count(*) AS rows,
    count(*) FILTER (candid IS NULL) AS ids_null,
    count(*) - count(DISTINCT candid) AS ids_repeated,
    count(*) FILTER (NOT coalesce(nbad = 0 AND rb >= 0.55 AND fid <> 3, false)) AS cuts_failed,
    count(*) FILTER (coalesce(cardinality(fink_status), 0) = 0) AS statuses_missing,
    count(*) FILTER (len(unknown_words) > 0) AS statuses_unknown,
    count(*) FILTER (process.broker_version IS NULL OR process.science_version IS NULL) AS versions_missing,
    CASE WHEN (SELECT count(*) FROM installed) > 0 THEN (SELECT count(*) FROM strange) END AS versions_strange,
    (
        SELECT string_agg(format('{} {}, installed is {}', name, version, here), ', ' ORDER BY name) FROM strange
    ) AS versions_strange_told,
    (SELECT count(*) FROM mixed) AS versions_mixed,
    (SELECT string_agg(name, ', ' ORDER BY name) FROM mixed) AS versions_mixed_told,
    count(*) FILTER (NOT coalesce(roid BETWEEN 0 AND 3, true)) AS roid_bad,
    count(*) FILTER (NOT coalesce(nalerthist >= 1, true)) AS nalerthist_bad,
    (SELECT count(*) FROM scores WHERE NOT coalesce(score BETWEEN 0 AND 1, true)) AS scores_bad,
    CASE WHEN count(*) > 0 THEN count(*) FILTER (len(failed) > 0) / count(*) END AS failed_share,
    (
        SELECT string_agg(format('{} failed {}', module, times), ', ')
        FROM (
            SELECT module, count(*) AS times FROM statuses WHERE status = 'failed'
            GROUP BY module ORDER BY times DESC, module LIMIT 3
        )
    ) AS failed_share_told,
    CASE WHEN count(*) >= 100 THEN (SELECT count(*) FROM broken) END AS modules_failing,
    (
        SELECT string_agg(format('{} for {:.0f} %', module, 100 * share), ', ' ORDER BY module) FROM broken
    ) AS modules_failing_told,
    CASE WHEN count(*) > 0 THEN count(*) FILTER (len(unavailable) > 0) / count(*) END AS unavailable_share,
    (
        SELECT string_agg(format('{} {:.0f} %', module, 100 * share), ', ' ORDER BY share DESC, module) FROM absent
    ) AS unavailable_share_told,
    CASE WHEN count(*) > 0 THEN count(*) FILTER (finkclass IS NULL) / count(*) END AS class_missing_share,
    (SELECT count(*) FROM raw) - count(*) - (SELECT count(*) FROM rejected) AS unaccounted
FROM alerts
