-- topic: fink_first_pass_candidates_ztf
-- title: First detections
-- description: The first detection of a source, of whatever kind (value 1 of module roid).
-- author: Fink collaboration
-- contact: contact@fink-broker.org
-- version: 1
-- references: https://doi.org/10.1093/mnras/staa3602
-- kinds: live
-- budget: 50 %
roid = 1
