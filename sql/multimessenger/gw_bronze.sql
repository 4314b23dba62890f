-- topic: fink_gw_bronze
-- title: Counterparts of gravitational waves, bronze
-- description: Alerts inside the 90 % region of a gravitational-wave event of the seven days before: probably real, and
--   unknown, a candidate transient or extragalactic.
-- author: Fink collaboration
-- contact: contact@fink-broker.org
-- version: 1
-- references: https://doi.org/10.1093/mnras/staa3602
-- kinds: live
observatory = 'LVK'
AND rb >= 0.7
AND (fink_class_extragalactic
     OR fink_class IN ('Unknown', 'Kilonova candidate', 'SN candidate', 'Early SN Ia candidate', 'Ambiguous'))
