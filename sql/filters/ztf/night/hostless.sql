-- topic: fink_hostless_ztf
-- title: Transients without a host
-- description: Transients whose stamps show no host, with at most 20 detections.
-- author: Fink collaboration
-- contact: contact@fink-broker.org
-- version: 1
-- references: https://arxiv.org/abs/2404.18165
-- kinds: night
-- targets: hostless_sn, afterglow, kilonova
HL
AND nalerthist <= 20
