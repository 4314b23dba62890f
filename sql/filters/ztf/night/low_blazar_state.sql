-- topic: fink_low_blazar_state_ztf
-- title: Blazars in a low state
-- description: Monitored blazars whose flux is below their own low threshold, now and over the last 30 days.
-- author: Fink collaboration
-- contact: contact@fink-broker.org
-- version: 1
-- references: https://doi.org/10.1093/mnras/staa3602
-- kinds: night
-- targets: blazar
blazar_stats['instantness_low'] >= 0
AND blazar_stats['instantness_low'] < 1
AND blazar_stats['robustness_low'] >= 0
AND blazar_stats['robustness_low'] < 1
