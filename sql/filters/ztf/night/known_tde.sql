-- topic: fink_known_tde_ztf
-- title: Known tidal disruption events
-- description: Brightenings within 5 arcsec of a known tidal disruption event.
-- author: Fink collaboration
-- contact: contact@fink-broker.org
-- version: 1
-- references: https://doi.org/10.1093/mnras/staa3602
-- kinds: night
-- targets: tde
POS
AND xm_lists['known_tde'] IS NOT NULL
