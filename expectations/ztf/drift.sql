-- what: the numbers of a night against those of the last archived nights, which suite `drift` judges
-- grain: one row
-- inputs: numbers (name, value) of the night; past (night, name, value); raw of the night
-- owner: nightly
-- Everything is null unless the night has 200 alerts, and at least 5 of the last 30 archived nights have 500 each; null
-- passes every rule, and the verdict says so. `…_off` counts deviations: the distance from the median of the past
-- nights in units of their robust scatter (1.4826 times the median absolute deviation), which is never taken smaller
-- than what the sky does by itself. A column whose name ends in `_told` names what its number counts.
WITH comparable AS (
    SELECT night FROM past WHERE name = 'alerts' AND value >= 500
),
enough AS (
    SELECT
        (SELECT count(*) FROM comparable) AS nights,
        coalesce((SELECT value FROM numbers WHERE name = 'alerts'), 0) AS alerts,
        coalesce((SELECT value FROM numbers WHERE name = 'science'), 0) AS science
),
applies AS (
    SELECT nights >= 5 AND alerts >= 200 AS yes FROM enough
),
history AS (
    SELECT past.name, past.value FROM past JOIN comparable USING (night) WHERE (SELECT yes FROM applies)
),
usual AS (
    SELECT name, median(value) AS middle, mad(value) * 1.4826 AS scatter, min(value) AS least, count(*) AS nights
    FROM history
    GROUP BY name
),
-- A number that a night lacks is a class, filter or band that did not occur: 0.
pairs AS (
    SELECT name, coalesce(value, 0) AS value, middle, scatter, least, usual.nights, value IS NULL AS gone
    FROM usual LEFT JOIN numbers USING (name)
),
logs AS (
    SELECT name, median(ln(value)) AS middle, mad(ln(value)) * 1.4826 AS scatter
    FROM history
    WHERE name IN ('alerts', 'exposures', 'alerts_per_exposure') AND value > 0
    GROUP BY name
),
rates AS (
    SELECT name, (ln(value) - middle) / greatest(scatter, 0.1) AS off, value / exp(middle) AS ratio, exp(middle) AS usual
    FROM logs JOIN numbers USING (name)
    WHERE value > 0
),
lives AS (
    SELECT
        name, value, middle,
        max(value) FILTER (name = 'delay_s.p95') OVER () - min(value) FILTER (name = 'delay_s.p05') OVER () AS spread
    FROM pairs
    WHERE starts_with(name, 'delay_s.')
),
-- Only where alerts came within hours, then and now, and all at about the same pace, a clock is told from a delivery.
clock AS (
    SELECT (value - middle) / 60 AS minutes
    FROM lives
    WHERE name = 'delay_s.p50' AND spread < 1200 AND abs(value) < 43200 AND abs(middle) < 43200
),
bands AS (
    SELECT name, value, middle, CASE name WHEN 'band.1' THEN 'g' WHEN 'band.2' THEN 'r' ELSE name END AS band
    FROM pairs
    WHERE name IN ('band.1', 'band.2') AND least >= 0.05 AND nights = (SELECT nights FROM enough)
        AND value < 0.1 * least
),
catalogues AS (
    SELECT
        matched.name[7:] AS module, matched.value AS share, matched.middle, matched.least,
        consulted.value AS consulted, consulted.value * matched.middle AS expected
    FROM pairs AS matched JOIN pairs AS consulted ON consulted.name = 'consulted.' || matched.name[7:]
    WHERE starts_with(matched.name, 'match.')
),
-- A module that finds nothing at all has no matches to count (the number is gone) or none among those it looked up.
silent AS (
    SELECT module, round(100 * middle, 1) AS usual, 0.0 AS now FROM catalogues WHERE expected >= 20 AND share = 0
),
weak AS (
    SELECT module, round(100 * middle, 1) AS usual, round(100 * share, 1) AS now
    FROM catalogues
    WHERE consulted * least >= 20 AND share < 0.3 * least
),
centres AS (
    SELECT
        split_part(name, '.', 2)::BIGINT AS field, avg(value) FILTER (ends_with(name, '.x')) AS x,
        avg(value) FILTER (ends_with(name, '.y')) AS y, avg(value) FILTER (ends_with(name, '.z')) AS z
    FROM history
    WHERE starts_with(name, 'field.')
    GROUP BY field
),
places AS (
    SELECT
        degrees(acos(least(1, (
            x * cos(radians(dec)) * cos(radians(ra)) + y * cos(radians(dec)) * sin(radians(ra)) + z * sin(radians(dec))
        ) / sqrt(x * x + y * y + z * z)))) AS from_centre_deg
    FROM (SELECT candidate.ra AS ra, candidate.dec AS dec, candidate.field AS field FROM raw) JOIN centres USING (field)
    WHERE ra IS NOT NULL AND dec IS NOT NULL
),
classes AS (
    SELECT sum(abs(coalesce(numbers.value, 0) - coalesce(usual.middle, 0))) / 2 AS distance
    FROM (SELECT * FROM numbers WHERE starts_with(name, 'class.')) AS numbers
    FULL JOIN (SELECT * FROM usual WHERE starts_with(name, 'class.')) AS usual USING (name)
),
class_changes AS (
    SELECT name[7:] AS class, value - middle AS change FROM pairs WHERE starts_with(name, 'class.')
),
yields AS (
    SELECT
        name[8:] AS filter, value, middle, middle * science AS expected,
        (value - middle) / greatest(scatter, 0.3 * middle, 3 * sqrt(greatest(middle, 1 / science) / science)) AS off
    FROM pairs, enough
    WHERE starts_with(name, 'filter.') AND pairs.nights >= 5 AND science > 0
)
SELECT
    (SELECT nights FROM enough) AS past_nights,
    (SELECT alerts FROM enough) AS alerts,
    (SELECT ratio FROM rates WHERE name = 'alerts') AS rate_ratio,
    (SELECT format('{:.0f} is usual', usual) FROM rates WHERE name = 'alerts') AS rate_ratio_told,
    (SELECT off FROM rates WHERE name = 'alerts') AS rate_off,
    (
        SELECT format('{:.0f} alerts, {:.0f} are usual', alerts, usual) FROM rates, enough WHERE name = 'alerts'
    ) AS rate_off_told,
    (SELECT off FROM rates WHERE name = 'alerts_per_exposure') AS density_off,
    (SELECT off FROM rates WHERE name = 'exposures') AS exposures_off,
    (
        SELECT (value - middle) / greatest(scatter, 0.15) FROM pairs WHERE name = 'magnitude.p50'
    ) AS magnitude_off,
    (SELECT format('{:.2f}, {:.2f} is usual', value, middle) FROM pairs WHERE name = 'magnitude.p50')
        AS magnitude_off_told,
    (SELECT (value - middle) / greatest(scatter, 0.15) FROM pairs WHERE name = 'depth.median') AS depth_off,
    (SELECT format('{:.2f}, {:.2f} is usual', value, middle) FROM pairs WHERE name = 'depth.median') AS depth_off_told,
    (SELECT (value - middle) / greatest(scatter, 0.03) FROM pairs WHERE name = 'rb.median') AS rb_off,
    (SELECT format('{:.3f}, {:.3f} is usual', value, middle) FROM pairs WHERE name = 'rb.median') AS rb_off_told,
    (SELECT (value - middle) / greatest(scatter, 0.03) FROM pairs WHERE name = 'passing_share') AS passing_off,
    (SELECT minutes FROM clock) AS clock_shift_min,
    CASE WHEN (SELECT yes FROM applies) THEN (SELECT count(*) FROM bands) END AS bands_missing,
    (
        SELECT string_agg(format('{}: {:.1f} %, {:.0f} % is usual', band, 100 * value, 100 * middle), ', ' ORDER BY band)
        FROM bands
    ) AS bands_missing_told,
    CASE WHEN (SELECT yes FROM applies) THEN (SELECT count(*) FROM silent) END AS catalogues_silent,
    (
        SELECT string_agg(format('{}: no match, {} % is usual', module, usual), ', ' ORDER BY module) FROM silent
    ) AS catalogues_silent_told,
    CASE WHEN (SELECT yes FROM applies) THEN (SELECT count(*) FROM weak) END AS matches_low,
    (
        SELECT string_agg(format('{}: {} %, {} % is usual', module, now, usual), ', ' ORDER BY module) FROM weak
    ) AS matches_low_told,
    (
        SELECT CASE WHEN count(*) >= 200 THEN count(*) FILTER (from_centre_deg > 6) / count(*) END FROM places
    ) AS outside_field_share,
    (
        SELECT format('median distance {:.1f} degrees', median(from_centre_deg)) FROM places
    ) AS outside_field_share_told,
    CASE WHEN (SELECT yes FROM applies) THEN (SELECT distance FROM classes) END AS class_mix_distance,
    (
        SELECT string_agg(format('{} {:+.0f} %', class, 100 * change), ', ')
        FROM (SELECT * FROM class_changes ORDER BY abs(change) DESC, class LIMIT 2)
    ) AS class_mix_distance_told,
    CASE WHEN (SELECT yes FROM applies) THEN (SELECT count(*) FROM yields WHERE abs(off) > 6) END AS filters_odd,
    (
        SELECT string_agg(
            format('{}: {:.2f} %, {:.2f} % is usual', filter, 100 * value, 100 * middle), ', ' ORDER BY filter
        )
        FROM yields WHERE abs(off) > 6
    ) AS filters_odd_told,
    CASE WHEN (SELECT yes FROM applies) THEN
        (SELECT count(*) FROM yields WHERE value = 0 AND expected >= 20)
    END AS filters_silent,
    (
        SELECT string_agg(format('{}: none, {:.0f} are usual', filter, expected), ', ' ORDER BY filter)
        FROM yields WHERE value = 0 AND expected >= 20
    ) AS filters_silent_told
