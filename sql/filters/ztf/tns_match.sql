-- topic: fink_tns_match_ztf
-- title: Classified in the Transient Name Server
-- description: Alerts beside a classified transient of the Transient Name Server, at most 30 days after their first
--   detection.
-- author: Fink collaboration
-- contact: contact@fink-broker.org
-- version: 1
-- references: https://www.wis-tns.org
-- kinds: live
-- budget: 5 %
-- targets: sn_ia, sn_ii, slsn, hostless_sn, tde
tns IS NOT NULL
AND age <= 30
