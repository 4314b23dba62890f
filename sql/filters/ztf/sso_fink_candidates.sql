-- topic: fink_sso_fink_candidates_ztf
-- title: Solar System candidates
-- description: Alerts that look like an unknown Solar System object: no point source nearby and at most two
--   detections (value 2 of module roid).
-- author: Fink collaboration
-- contact: contact@fink-broker.org
-- version: 1
-- references: https://doi.org/10.1093/mnras/staa3602
-- kinds: live
roid = 2
