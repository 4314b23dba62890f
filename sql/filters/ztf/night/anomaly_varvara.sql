-- topic: fink_anomaly_varvara_ztf
-- title: The most unusual light curves for expert varvara
-- description: The 200 lowest values of the anomaly score that learned from this expert, more than 30 degrees from
--   the plane of the Galaxy, one of each object.
-- author: Fink collaboration
-- contact: contact@fink-broker.org
-- version: 1
-- references: https://doi.org/10.1051/0004-6361/202037709
-- kinds: night
-- order: anomaly_score_varvara
-- limit: 200
-- per: objectId
anomaly_score_varvara IS NOT NULL
AND abs(sin(radians(gal_lat))) > 0.5
