-- what: words that the filters of ZTF share; a predicate names them like columns, in any case
-- grain: one row per alert
-- owner: science
-- simbad: cdsxmatch
--
-- A term may use the terms above it. Null is missing: what cannot be decided for an alert is null, and no filter takes
-- an alert on a null.
SELECT
    -- days since the survey first saw the source
    candidate.jd - candidate.jdstarthist AS age,

    -- SIMBAD has nothing there, or a type beside which a transient may be extragalactic; null where it did not answer
    fink_status['simbad'] = 'no_match' OR simbad_extragalactic() AS EG,

    -- no catalogue and no reference image has anything there, and it is no known asteroid
    (candidate.distnr IS NULL OR candidate.distnr < 0 OR candidate.distnr > 1.5)
    AND fink_status['simbad'] = 'no_match'
    AND fink_status['gaia'] = 'no_match'
    AND roid <> 3 AS UNCAT,

    -- the stamps have no host: little structure in the science image, less than a galaxy's in the template
    elephant_kstest_science BETWEEN 0 AND 0.5 AND elephant_kstest_template BETWEEN 0 AND 0.85 AS HL,

    -- looks like a real point source
    candidate.drb > 0.5 AND candidate.classtar > 0.4 AS GOOD,

    -- brighter than in the reference image
    candidate.isdiffpos IN ('t', '1') AS POS,

    -- times of the entries of the history before the alert, limits included, the latest first (jd)
    list_reverse_sort(list_distinct(list_filter(prv_candidates.jd, lambda entry: entry < candidate.jd))) AS earlier_jd,

    -- days from the entry before the alert to the alert
    candidate.jd - list_extract(earlier_jd, 1) AS last_gap,

    -- days between the two entries before the alert
    list_extract(earlier_jd, 1) - list_extract(earlier_jd, 2) AS previous_gap,

    -- the entry before the alert is a detection, not a limit
    list_extract(prv_candidates.magpsf, list_position(prv_candidates.jd, list_extract(earlier_jd, 1))) IS NOT NULL
        AS last_valid,

    -- the entry before that is a detection too
    list_extract(prv_candidates.magpsf, list_position(prv_candidates.jd, list_extract(earlier_jd, 2))) IS NOT NULL
        AS previous_valid,

    -- the detections up to the alert, which is the last one: (jd, band, difference magnitude, error) of each
    list_sort(list_append(list_filter(
        list_zip(prv_candidates.jd, prv_candidates.fid, prv_candidates.magpsf, prv_candidates.sigmapsf),
        lambda entry: entry[1] < candidate.jd AND entry[3] IS NOT NULL
    ), row(candidate.jd, candidate.fid, candidate.magpsf, candidate.sigmapsf))) AS detections,

    -- their times (jd)
    list_transform(detections, lambda point: point[1]) AS curve_jd,

    -- their bands (1 g, 2 r, 3 i)
    list_transform(detections, lambda point: point[2]) AS curve_fid,

    -- their difference magnitudes
    list_transform(detections, lambda point: point[3]) AS curve_magpsf,

    -- their difference magnitudes in g
    list_transform(list_filter(detections, lambda point: point[2] = 1), lambda point: point[3]) AS curve_g,

    -- their difference magnitudes in r
    list_transform(list_filter(detections, lambda point: point[2] = 2), lambda point: point[3]) AS curve_r,

    -- the changes between consecutive g detections, those of more than 3 sigma: 1 fainter, -1 brighter
    list_filter(list_extract(list_transform(
        [list_filter(detections, lambda point: point[2] = 1)],
        lambda points: list_transform(
            list_zip(points, list_slice(points, 2, 1000)),
            lambda pair: CASE
                WHEN pair[2][3] - pair[1][3] > 3 * sqrt(pow(pair[1][4], 2) + pow(pair[2][4], 2)) THEN 1
                WHEN pair[1][3] - pair[2][3] > 3 * sqrt(pow(pair[1][4], 2) + pow(pair[2][4], 2)) THEN -1
            END
        )
    ), 1), lambda step: step IS NOT NULL) AS steps_g,

    -- the changes between consecutive r detections, those of more than 3 sigma: 1 fainter, -1 brighter
    list_filter(list_extract(list_transform(
        [list_filter(detections, lambda point: point[2] = 2)],
        lambda points: list_transform(
            list_zip(points, list_slice(points, 2, 1000)),
            lambda pair: CASE
                WHEN pair[2][3] - pair[1][3] > 3 * sqrt(pow(pair[1][4], 2) + pow(pair[2][4], 2)) THEN 1
                WHEN pair[1][3] - pair[2][3] > 3 * sqrt(pow(pair[1][4], 2) + pow(pair[2][4], 2)) THEN -1
            END
        )
    ), 1), lambda step: step IS NOT NULL) AS steps_r,

    -- how often the g light curve turns from rising to fading or back, by its changes of more than 3 sigma
    length(list_filter(list_zip(steps_g, list_slice(steps_g, 2, 1000)), lambda pair: pair[1] <> pair[2])) AS turns_g,

    -- how often the r light curve turns from rising to fading or back, by its changes of more than 3 sigma
    length(list_filter(list_zip(steps_r, list_slice(steps_r, 2, 1000)), lambda pair: pair[1] <> pair[2])) AS turns_r
FROM alerts
