-- topic: fink_grb_bronze
-- title: Counterparts of gamma-ray bursts, bronze
-- description: Alerts inside the error region of a gamma-ray burst of the seven days before: probably real, and unknown,
--   a candidate transient or extragalactic.
-- author: Fink collaboration
-- contact: contact@fink-broker.org
-- version: 1
-- references: https://doi.org/10.1093/mnras/staa3602
-- kinds: live
observatory IN ('Fermi', 'SWIFT', 'INTEGRAL')
AND rb >= 0.7
AND (fink_class_extragalactic
     OR fink_class IN ('Unknown', 'Kilonova candidate', 'SN candidate', 'Early SN Ia candidate', 'Ambiguous'))
