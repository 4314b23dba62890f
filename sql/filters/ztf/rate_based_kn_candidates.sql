-- topic: fink_rate_based_kn_candidates_ztf
-- title: Fast fading sources
-- description: Younger than 5 days and fading by more than 0.3 mag a day, where SIMBAD has nothing or a galaxy, away
--   from stars, asteroids and the plane of the Galaxy.
-- author: Fink collaboration
-- contact: contact@fink-broker.org
-- version: 1
-- references: https://doi.org/10.3847/1538-4357/ac0bc7
-- kinds: live
-- budget: 1 %
-- targets: kilonova
candidate.drb > 0.9
AND candidate.classtar > 0.4
AND age < 5
AND candidate.ndethist < 20
AND POS
AND (candidate.ssdistnr > 10 OR candidate.ssdistnr < 0)
AND abs(gal_lat) > 10
AND EG
AND kn_rate > 0.3
AND NOT star_near
