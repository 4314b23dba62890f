-- topic: fink_intra_night_hostless_ztf
-- title: Hostless, second detection of the same night
-- description: The second detection of a source without a host, less than 12 hours after the first.
-- author: Fink collaboration
-- contact: contact@fink-broker.org
-- version: 1
-- references: https://arxiv.org/abs/2404.18165
-- kinds: live
-- budget: 1 %
-- targets: hostless_sn, afterglow, kilonova
UNCAT
AND candidate.ndethist = 2
AND last_valid
AND last_gap < 0.5
AND HL
