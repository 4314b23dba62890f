-- topic: fink_fast_riser_candidates_ztf
-- title: Fast rising sources
-- description: At most 60 days old, brightening by at least 0.25 mag a day between two detections in a band, where
--   SIMBAD has nothing or a galaxy.
-- author: Fink collaboration
-- contact: contact@fink-broker.org
-- version: 1
-- references: https://doi.org/10.1093/mnras/staa3602
-- kinds: live
-- budget: 10 %
-- targets: sn_ia, sn_ii, hostless_sn, kilonova
EG
AND roid NOT IN (2, 3)
AND candidate.drb > 0.5
AND age <= 60
AND rise_rate >= 0.25
