-- topic: fink_magnetic_cvs_ztf
-- title: Magnetic cataclysmic variables
-- description: Brightenings within 0.5 arcsec of a known magnetic cataclysmic variable.
-- author: Fink collaboration
-- contact: contact@fink-broker.org
-- version: 1
-- references: https://doi.org/10.1093/mnras/staa3602
-- kinds: live
-- budget: 0.5 %
-- targets: cataclysmic
POS
AND xm_lists['magnetic_cv'] IS NOT NULL
