-- what: the numbers of a night's science rows that suite `science` judges
-- grain: one row
-- inputs: raw, science, rejected of one night
-- owner: nightly
-- A share is null on a night with too few alerts to tell; null passes every rule.
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
scores AS (
    SELECT unnest([
        rf_snia_vs_nonia, rf_kn_vs_nonkn, snn_snia_vs_nonia, snn_sn_vs_all, mulens, agn_score
    ]) AS score
    FROM science
)
SELECT
    count(*) AS rows,
    count(*) FILTER (candid IS NULL) AS ids_null,
    count(*) - count(DISTINCT candid) AS ids_repeated,
    count(*) FILTER (NOT coalesce(nbad = 0 AND rb >= 0.55 AND fid <> 3, false)) AS cuts_failed,
    count(*) FILTER (coalesce(cardinality(fink_status), 0) = 0) AS statuses_missing,
    count(*) FILTER (len(unknown_words) > 0) AS statuses_unknown,
    count(*) FILTER (process.broker_version IS NULL OR process.science_version IS NULL) AS versions_missing,
    count(*) FILTER (NOT coalesce(roid BETWEEN 0 AND 3, true)) AS roid_bad,
    count(*) FILTER (NOT coalesce(nalerthist >= 1, true)) AS nalerthist_bad,
    (SELECT count(*) FROM scores WHERE NOT coalesce(score BETWEEN 0 AND 1, true)) AS scores_bad,
    CASE WHEN count(*) > 0 THEN count(*) FILTER (len(failed) > 0) / count(*) END AS failed_share,
    CASE WHEN count(*) > 0 THEN count(*) FILTER (len(unavailable) > 0) / count(*) END AS unavailable_share,
    CASE WHEN count(*) > 0 THEN count(*) FILTER (finkclass IS NULL) / count(*) END AS class_missing_share,
    (SELECT count(*) FROM raw) - count(*) - (SELECT count(*) FROM rejected) AS unaccounted
FROM alerts
