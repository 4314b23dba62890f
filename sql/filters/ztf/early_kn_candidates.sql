-- topic: fink_early_kn_candidates_ztf
-- title: Sources of a few hours beside a nearby galaxy
-- description: Younger than 6 hours, within 10 kpc of a Mangrove galaxy at which its absolute magnitude is that of a
--   kilonova, away from stars and from the planes of the Galaxy and the ecliptic.
-- author: Fink collaboration
-- contact: contact@fink-broker.org
-- version: 1
-- references: https://doi.org/10.1093/mnras/staa114
-- kinds: live
-- budget: 0.5 %
-- targets: kilonova
GOOD
AND age < 0.25
AND EG
AND roid <> 3
AND kn_host.lum_dist IS NOT NULL
AND NOT star_near
AND abs(gal_lat) > 10
AND abs(ecl_lat) > 10
