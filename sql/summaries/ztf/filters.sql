-- what: the table `filters` of a night's summary
-- grain: one row per filter that took an alert
-- inputs: sent of one night
-- owner: nightly
SELECT filter AS name, count(*) AS number FROM sent GROUP BY ALL
