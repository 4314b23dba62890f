-- topic: fink_grb_silver
-- title: Counterparts of gamma-ray bursts, silver
-- description: Bronze, and a chance coincidence is excluded at five sigma: 1 - grb_proba above erf(5 / sqrt 2).
-- author: Fink collaboration
-- contact: contact@fink-broker.org
-- version: 1
-- references: https://doi.org/10.1093/mnras/staa3602
-- kinds: live
observatory IN ('Fermi', 'SWIFT', 'INTEGRAL')
AND rb >= 0.7
AND (fink_class_extragalactic
     OR fink_class IN ('Unknown', 'Kilonova candidate', 'SN candidate', 'Early SN Ia candidate', 'Ambiguous'))
AND 1 - grb_proba > 0.9999994266968562
