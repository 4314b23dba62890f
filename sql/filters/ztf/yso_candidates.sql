-- topic: fink_yso_candidates_ztf
-- title: Young stellar object candidates
-- description: Alerts beside an object that SIMBAD calls a candidate young stellar object or T Tauri star.
-- author: Fink collaboration
-- contact: contact@fink-broker.org
-- version: 1
-- references: https://doi.org/10.1093/mnras/staa3602
-- kinds: live
-- budget: 2 %
simbad_type('Y*?', 'TT?') OR cdsxmatch = 'TTau*_Candidate'
