-- topic: fink_high_blazar_state_ztf
-- title: Blazars in a high state
-- description: Monitored blazars whose flux is above their own high threshold, now and over the last 5 days.
-- author: Fink collaboration
-- contact: contact@fink-broker.org
-- version: 1
-- references: https://doi.org/10.1093/mnras/staa3602
-- kinds: night
-- targets: blazar
blazar_stats['instantness_high'] > 1
AND blazar_stats['robustness_high'] > 1
