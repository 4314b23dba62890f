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

    -- SIMBAD has nothing there, or a type beside which a transient may be extragalactic; null where it was not consulted
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
        AS previous_valid
FROM alerts
