-- what: the table `fields` of a night's summary
-- grain: one row per field and band that has science alerts
-- inputs: science of one night
-- owner: nightly
SELECT
    candidate.field::BIGINT AS field,
    CASE candidate.fid WHEN 1 THEN 'g' WHEN 2 THEN 'r' WHEN 3 THEN 'i' END AS band,
    count(DISTINCT candidate.jd) AS exposures,
    count(*) AS alerts,
    round(median(candidate.diffmaglim), 3)::DOUBLE AS depth_mag
FROM science
GROUP BY ALL
ORDER BY field, band
