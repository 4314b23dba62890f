-- topic: fink_cv_ztf
-- title: Cataclysmic variables in outburst
-- description: Stars of the list of symbiotic and cataclysmic stars, within 0.5 arcsec, that became brighter by three
--   magnitudes or more between two detections of a band.
-- author: Fink collaboration
-- contact: contact@fink-broker.org
-- version: 1
-- references: https://doi.org/10.1093/mnras/staa3602
-- kinds: night
-- targets: cataclysmic
xm_lists['symbiotic_cv'] IS NOT NULL
AND NOT from_upper
AND mag_rate * delta_time <= -3.0
