-- topic: fink_blazar_ztf
-- title: Blazars and BL Lac objects
-- description: Alerts beside an object that SIMBAD calls a blazar or a BL Lac object, or a candidate for one.
-- author: Fink collaboration
-- contact: contact@fink-broker.org
-- version: 1
-- references: https://doi.org/10.1093/mnras/staa3602
-- kinds: live
-- budget: 2 %
simbad_type('Bla', 'Bz?', 'BLL', 'BL?')
