-- what: the numbers of what a night has sent that suite `distribution` judges
-- grain: one row
-- inputs: science, sent, ledger of one night
-- owner: nightly
-- A number is null on a night with too few alerts to tell; null passes every rule, and the verdict says so. A column
-- whose name ends in `_told` names what its number counts. The selections of the night (`select-…`) come after the
-- gate; they are left out, so that judging a night again gives the same answer.
WITH live AS (
    SELECT * FROM sent WHERE NOT starts_with(coalesce(batch, ''), 'select-')
),
received AS (
    SELECT sum(received) AS alerts
    FROM (SELECT batch, max(received) AS received FROM ledger WHERE stage = 'distribution' GROUP BY batch)
),
filters AS (
    SELECT
        filter, count(*) AS alerts, count(DISTINCT filter_version) AS versions, count(DISTINCT topic) AS topics
    FROM live
    GROUP BY filter
)
SELECT
    count(*) AS rows,
    count(*) FILTER (alert_id IS NULL OR filter IS NULL OR topic IS NULL OR "offset" IS NULL) AS keys_null,
    count(*) FILTER (alert_id NOT IN (SELECT candid FROM science WHERE candid IS NOT NULL)) AS ids_unknown,
    count(*) - count(DISTINCT (alert_id, filter)) AS sent_repeated,
    count(*) - count(DISTINCT (topic, partition, "offset")) AS places_repeated,
    (SELECT count(*) FROM filters WHERE topics > 1) AS topics_mixed,
    (SELECT string_agg(filter, ', ' ORDER BY filter) FROM filters WHERE topics > 1) AS topics_mixed_told,
    (SELECT count(*) FROM filters WHERE versions > 1) AS versions_mixed,
    (SELECT string_agg(filter, ', ' ORDER BY filter) FROM filters WHERE versions > 1) AS versions_mixed_told,
    ((SELECT count(*) FROM science) - (SELECT alerts FROM received))::BIGINT AS not_received,
    CASE WHEN (SELECT count(*) FROM science) >= 1000 THEN
        (SELECT max(alerts) FROM filters) / (SELECT count(*) FROM science)
    END AS greediest_share,
    (SELECT arg_max(filter, (alerts, filter)) FROM filters) AS greediest_share_told,
    CASE WHEN count(*) >= 1000 THEN count(*) FILTER (late) / count(*) END AS late_share
FROM live
