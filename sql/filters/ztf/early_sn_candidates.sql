-- topic: fink_early_sn_candidates_ztf
-- title: Early supernova Ia candidates
-- description: Supernova-like by the recurrent network and type Ia by the early classifier, within 20 detections,
--   where SIMBAD has nothing or a galaxy.
-- author: Fink collaboration
-- contact: contact@fink-broker.org
-- version: 1
-- references: https://doi.org/10.1051/0004-6361/202142715
-- kinds: live
-- budget: 5 %
-- targets: sn_ia, hostless_sn
(snn_snia_vs_nonia > 0.5 OR snn_sn_vs_all > 0.5)
AND EG
AND GOOD
AND rf_snia_vs_nonia > 0.5
AND candidate.ndethist <= 20
