-- topic: fink_vast_sn_ztf
-- title: Nearby southern supernova candidates
-- description: Supernovae, or candidates, beside a galaxy within 200 Mpc, south of declination -10 degrees.
-- author: Fink collaboration
-- contact: contact@fink-broker.org
-- version: 1
-- references: https://doi.org/10.1093/mnras/staa3602
-- kinds: night
-- targets: sn_ia, sn_ii
CAST(mangrove['lum_dist'] AS DOUBLE) < 200
AND candidate.dec < -10
AND (tns IS NOT NULL OR snn_sn_vs_all > 0.5)
