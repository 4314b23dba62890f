-- topic: fink_anomaly_beta_ztf
-- title: The most unusual light curves for expert beta
-- description: The 10 lowest values of the anomaly score that learned from this expert, of objects found in 2021, one
--   of each object.
-- author: Fink collaboration
-- contact: contact@fink-broker.org
-- version: 1
-- references: https://doi.org/10.1051/0004-6361/202037709
-- kinds: night
-- order: anomaly_score_beta
-- limit: 10
-- per: objectId
anomaly_score_beta IS NOT NULL
AND objectId LIKE '%ZTF21%'
