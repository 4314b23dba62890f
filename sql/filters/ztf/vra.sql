-- topic: fink_vra_ztf
-- title: Faint and without a known object
-- description: Fainter than magnitude 19.5 at a place where SIMBAD was consulted and has nothing.
-- author: Fink collaboration
-- contact: contact@fink-broker.org
-- version: 1
-- references: https://doi.org/10.1093/mnras/staa3602
-- kinds: live
-- budget: 50 %
fink_status['simbad'] = 'no_match'
AND roid <> 3
AND candidate.magpsf > 19.5
AND candidate.drb > 0.5
