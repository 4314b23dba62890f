-- topic: fink_sn_candidates_ztf
-- title: Supernova candidates
-- description: Supernova-like by the recurrent network, seen more than once and for at most 90 days, where SIMBAD has
--   nothing or a galaxy.
-- author: Fink collaboration
-- contact: contact@fink-broker.org
-- version: 1
-- references: https://doi.org/10.1093/mnras/stz3312
-- kinds: live
-- budget: 10 %
-- targets: sn_ia, sn_ii, slsn, hostless_sn
(snn_snia_vs_nonia > 0.5 OR snn_sn_vs_all > 0.5)
AND EG
AND GOOD
AND age <= 90
AND candidate.ndethist > 1
AND roid <> 3
