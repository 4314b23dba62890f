-- topic: fink_new_hostless_ztf
-- title: Hostless, first detection
-- description: The first detection of a source that no catalogue and no reference image knows, whose stamps show no
--   host.
-- author: Fink collaboration
-- contact: contact@fink-broker.org
-- version: 1
-- references: https://arxiv.org/abs/2404.18165
-- kinds: live
-- budget: 2 %
-- targets: hostless_sn, afterglow, kilonova
UNCAT
AND candidate.ndethist = 1
AND HL
