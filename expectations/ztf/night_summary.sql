-- what: the numbers of a night's summary that suite `night_summary` judges
-- grain: one row
-- inputs: raw, science, rejected, quarantine, sent, night_summary of one night
-- owner: nightly
-- Differences are counted; 0 is right. A column whose name ends in `_told` names what its number counts.
WITH one AS (
    SELECT basic, class, filters, versions, latency, fields, coverage, ledger FROM night_summary LIMIT 1
),
counted AS (
    SELECT
        (SELECT count(*) FROM raw) AS raw, (SELECT count(*) FROM science) AS science,
        (SELECT count(*) FROM rejected WHERE reason <> 'duplicate') AS rejected,
        (SELECT count(*) FROM rejected WHERE reason = 'duplicate') AS duplicates,
        (SELECT count(*) FROM quarantine) AS quarantined, (SELECT count(*) FROM sent) AS sent
),
classes AS (
    SELECT unnest(map_keys(class)) AS name, unnest(map_values(class)) AS alerts FROM one
),
modules AS (
    SELECT name, alerts
    FROM (SELECT unnest(map_keys(basic)) AS name, unnest(map_values(basic)) AS alerts FROM one)
    WHERE starts_with(name, 'unavailable_')
)
SELECT
    (SELECT count(*) FROM night_summary) AS rows,
    abs(basic['raw'] - counted.raw) AS raw_off,
    abs(basic['sci'] - counted.science) AS science_off,
    abs(basic['raw'] - basic['sci'] - basic['rejected'] - basic['duplicates']) AS equation_off,
    abs(basic['rejected'] - counted.rejected) + abs(basic['duplicates'] - counted.duplicates) AS rejected_off,
    abs(basic['quarantined'] - counted.quarantined) AS quarantined_off,
    abs(basic['sci'] - basic['n_g'] - basic['n_r']) AS bands_off,
    abs(basic['sci'] - (SELECT sum(alerts) FROM classes WHERE NOT starts_with(name, 'simbad_')))::BIGINT AS classes_off,
    abs(coalesce(list_sum(map_values(filters)), 0) - counted.sent)::BIGINT AS filters_off,
    greatest(basic['exposures'] - basic['sci'], 0) + greatest(basic['fields'] - basic['sci'], 0)
        + (basic['sci'] > 0 AND basic['exposures'] = 0)::INT AS exposures_bad,
    (SELECT count(*) FROM modules WHERE alerts > basic['sci']) AS unavailable_bad,
    (SELECT string_agg(name, ', ' ORDER BY name) FROM modules WHERE alerts > basic['sci']) AS unavailable_bad_told,
    abs(basic['sci'] - coalesce(list_sum(list_transform(coverage, lambda p: p.alerts)), 0))::BIGINT AS coverage_off,
    abs(basic['sci'] - coalesce(list_sum(list_transform(fields, lambda f: f.alerts)), 0))::BIGINT AS fields_off,
    CASE WHEN basic['sci'] > 0 THEN
        (versions['broker'] IS NULL)::INT + (versions['science'] IS NULL)::INT
    END AS versions_missing,
    coalesce(latency['sent_s.p50'] > latency['sent_s.p95'] OR latency['sent_s.p95'] > latency['sent_s.p99'], false)::INT
        AS latency_disordered,
    CASE WHEN counted.sent >= 100 THEN latency['sent_s.p95'] END AS latency_slow_s,
    abs(ledger['stream2raw.messages'] - ledger['stream2raw.raw'] - ledger['stream2raw.quarantined']) AS ledger_off
FROM one RIGHT JOIN counted ON true
