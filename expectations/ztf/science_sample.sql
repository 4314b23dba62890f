-- what: a sample of a night's science rows that suite `science_sample` judges one by one
-- grain: one row per alert, at most 10,000
-- inputs: science of one night
-- owner: nightly
-- Drawn by a hash of the id, so that the same night gives the same sample.
SELECT
    candid, objectId, candidate.ra AS ra, candidate.dec AS dec, candidate.magpsf AS magpsf,
    candidate.sigmapsf AS sigmapsf, candidate.rb AS rb, candidate.drb AS drb, candidate.fid AS fid,
    candidate.jd - candidate.jdstarthist AS age
FROM science
ORDER BY hash(candid), candid
LIMIT 10000
