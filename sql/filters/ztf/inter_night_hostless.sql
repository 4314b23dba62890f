-- topic: fink_inter_night_hostless_ztf
-- title: Hostless, detected again on a later night
-- description: The third detection of a source without a host, more than 12 hours after two of one night.
-- author: Fink collaboration
-- contact: contact@fink-broker.org
-- version: 1
-- references: https://arxiv.org/abs/2404.18165
-- kinds: live
-- budget: 1 %
-- targets: hostless_sn, afterglow, kilonova
UNCAT
AND candidate.ndethist = 3
AND last_valid
AND previous_valid
AND last_gap > 0.5
AND previous_gap < 0.5
AND HL
