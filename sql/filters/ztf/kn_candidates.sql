-- topic: fink_kn_candidates_ztf
-- title: Kilonova candidates
-- description: Kilonova-like by the classifier, younger than 5 days, where SIMBAD has nothing or a galaxy.
-- author: Fink collaboration
-- contact: contact@fink-broker.org
-- version: 1
-- references: https://arxiv.org/abs/2210.17433
-- kinds: live
-- budget: 2 %
-- targets: kilonova
rf_kn_vs_nonkn > 0.5
AND GOOD
AND age < 5
AND candidate.ndethist < 20
AND EG
AND roid <> 3
