-- topic: fink_active_learning_ztf
-- title: Supernova candidates that are worth a spectrum to the classifier
-- description: The 30 young transients of which the early supernova Ia classifier knows least what they are, one
--   alert of each object.
-- author: Fink collaboration
-- contact: contact@fink-broker.org
-- version: 1
-- references: https://doi.org/10.1051/0004-6361/202142715
-- kinds: night
-- order: abs(rf_snia_vs_nonia - 0.5)
-- limit: 30
-- per: objectId
-- targets: sn_ia, hostless_sn
EG
AND GOOD
AND candidate.dec < 20
AND age <= 20
AND rf_snia_vs_nonia > 0
