-- what: the table `class` of a night's summary
-- grain: one row per class
-- inputs: science of one night
-- owner: nightly
-- The nine named classes are always there, SIMBAD labels when they occur. `unavailable` counts alerts without a class.
-- The rows that begin with `simbad_` cut across the classes; all others sum to the number of science alerts.
-- simbad_tot: alerts with a SIMBAD label that decides the class. simbad_gal: matched, and the type is extragalactic.
-- simbad_gal_fink: the historical count, which takes "no match" and "not consulted" for extragalactic too.
WITH alerts AS (
    SELECT finkclass, cdsxmatch, fink_status['simbad'] AS simbad FROM science
),
named AS (
    SELECT unnest([
        'Ambiguous', 'Solar System MPC', 'Tracklet', 'Solar System candidate', 'Kilonova candidate',
        'Early SN Ia candidate', 'SN candidate', 'Microlensing candidate', 'Unknown', 'unavailable'
    ]) AS name
),
counted AS (
    SELECT coalesce(finkclass, 'unavailable') AS name, count(*) AS number FROM alerts GROUP BY ALL
)
SELECT name, coalesce(number, 0) AS number FROM named FULL JOIN counted USING (name)
UNION ALL
SELECT
    'simbad_tot',
    count(*) FILTER (
        simbad = 'ok'
        AND coalesce(simbad_code(cdsxmatch) NOT IN ('?', 'ev'), true)
        AND NOT starts_with(cdsxmatch, 'Galaxy')
    )
FROM alerts
UNION ALL
SELECT 'simbad_gal', count(*) FILTER (simbad = 'ok' AND extragalactic(cdsxmatch)) FROM alerts
UNION ALL
SELECT 'simbad_gal_fink', count(*) FILTER (coalesce(simbad, '') <> 'ok' OR extragalactic(cdsxmatch)) FROM alerts
