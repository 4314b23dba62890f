-- topic: fink_yso_spicy_candidates_ztf
-- title: SPICY sources that change steadily
-- description: Candidate young stellar objects of the SPICY catalogue whose r magnitude follows a line of more than
--   0.025 mag a day.
-- author: Fink collaboration
-- contact: contact@fink-broker.org
-- version: 1
-- references: https://doi.org/10.3847/1538-4365/abe465
-- kinds: live
-- budget: 1 %
-- targets: yso
spicy_class IS NOT NULL
AND abs(lc_features_r.linear_fit_slope) > 0.025
AND r_linfit_r2 > 0.6
