-- topic: fink_anomaly_window_ztf
-- title: The five most unusual light curves of a part of the sky
-- description: The lowest anomaly scores of the night between right ascension 160 and 240 degrees, up to declination
--   20 degrees.
-- author: Fink collaboration
-- contact: contact@fink-broker.org
-- version: 1
-- references: https://doi.org/10.1051/0004-6361/202037709
-- kinds: night
-- order: anomaly_score
-- limit: 5
-- per: objectId
anomaly_score IS NOT NULL
AND candidate.dec <= 20
AND candidate.ra BETWEEN 160 AND 240
