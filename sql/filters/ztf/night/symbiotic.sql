-- topic: fink_symbiotic_ztf
-- title: Symbiotic stars that brighten
-- description: Stars of the list of symbiotic and cataclysmic stars, within 0.5 arcsec, that became brighter by half
--   a magnitude or more between two detections of a band.
-- author: Fink collaboration
-- contact: contact@fink-broker.org
-- version: 1
-- references: https://doi.org/10.1093/mnras/staa3602
-- kinds: night
-- targets: symbiotic
xm_lists['symbiotic_cv'] IS NOT NULL
AND NOT from_upper
AND mag_rate * delta_time <= -0.5
