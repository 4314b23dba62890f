-- topic: fink_grb_gold
-- title: Counterparts of gamma-ray bursts, gold
-- description: Silver, surely real, localised to five degrees, and changing by more than 0.3 magnitudes a day.
-- author: Fink collaboration
-- contact: contact@fink-broker.org
-- version: 1
-- references: https://doi.org/10.1093/mnras/staa3602
-- kinds: live
observatory IN ('Fermi', 'SWIFT', 'INTEGRAL')
AND rb >= 0.9
AND (fink_class_extragalactic
     OR fink_class IN ('Unknown', 'Kilonova candidate', 'SN candidate', 'Early SN Ia candidate', 'Ambiguous'))
AND 1 - grb_proba > 0.9999994266968562
AND grb_loc_error <= 300
AND abs(rate) > 0.3
