-- topic: fink_unknowns_ztf
-- title: Unknown and uncatalogued
-- description: Alerts to which no class applies and at whose place SIMBAD was consulted and has no object. An alert whose
--   SIMBAD match is unavailable waits until it is known.
-- author: Fink collaboration
-- contact: contact@fink-broker.org
-- version: 1
-- references: https://doi.org/10.1093/mnras/staa3602
-- kinds: live
finkclass = 'Unknown' AND fink_status['simbad'] = 'no_match'
