-- topic: fink_sso_ztf_candidates_ztf
-- title: Known Solar System objects
-- description: Alerts of known asteroids and comets, as matched by the survey and confirmed by the cuts of
--   module roid (value 3).
-- author: Fink collaboration
-- contact: contact@fink-broker.org
-- version: 1
-- references: https://doi.org/10.1093/mnras/staa3602
-- kinds: live
roid = 3
