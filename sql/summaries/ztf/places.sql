-- what: where the science alerts of a night lie, for its map of the sky and its histogram
-- grain: one row per science alert
-- inputs: science of one night
-- owner: nightly
SELECT
    candidate.ra AS ra, candidate.dec AS dec, candidate.jd AS jd,
    CASE candidate.fid WHEN 1 THEN 'g' WHEN 2 THEN 'r' WHEN 3 THEN 'i' END AS band,
    candidate.magpsf::DOUBLE AS magnitude
FROM science
ORDER BY candid
