-- topic: fink_active_learning_best_ztf
-- title: The likeliest early supernovae Ia
-- description: The 30 transients of at most 10 days that the early supernova Ia classifier is surest of, one alert of
--   each object.
-- author: Fink collaboration
-- contact: contact@fink-broker.org
-- version: 1
-- references: https://doi.org/10.1051/0004-6361/202142715
-- kinds: night
-- order: -rf_snia_vs_nonia
-- limit: 30
-- per: objectId
-- targets: sn_ia, hostless_sn
EG
AND GOOD
AND candidate.dec < 20
AND age <= 10
AND rf_snia_vs_nonia > 0.5
