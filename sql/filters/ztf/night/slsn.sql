-- topic: fink_slsn_ztf
-- title: Superluminous supernova candidates
-- description: Transients that the classifier calls superluminous supernovae, whose light curves turn at most twice a
--   band on average.
-- author: Fink collaboration
-- contact: contact@fink-broker.org
-- version: 1
-- references: https://doi.org/10.1093/mnras/staa3602
-- kinds: night
-- targets: slsn
slsn_score >= 0.5
AND (turns_g + turns_r) / 2.0 <= 2
AND age < 500
