-- topic: fink_simbad_grav_candidates_ztf
-- title: Lenses, black holes and gravitational-wave events
-- description: Alerts beside an object of one of SIMBAD's gravitational types, in the old taxonomy or the new one.
-- author: Fink collaboration
-- contact: contact@fink-broker.org
-- version: 1
-- references: https://doi.org/10.1093/mnras/staa3602
-- kinds: live
-- budget: 1 %
simbad_type('grv', 'Lev', 'gLS', 'gLe', 'LeI', 'LeG', 'LeQ', 'BH', 'GWE')
