-- topic: fink_orphan_grb_ztf
-- title: Orphan afterglow candidates
-- description: Young sources with at least three detections, all within ten days and fainter than magnitude 18,
--   redder than flat and fading: what a gamma-ray burst may leave that nobody saw.
-- author: Fink collaboration
-- contact: contact@fink-broker.org
-- version: 1
-- references: https://doi.org/10.1093/mnras/staa3602
-- kinds: night
-- targets: afterglow
age <= 30
AND length(curve_jd) >= 3
AND candidate.jd - list_min(curve_jd) <= 10
AND list_min(curve_magpsf) > 18
AND list_avg(curve_g) >= list_avg(curve_r)
AND CASE
    WHEN list_extract(curve_fid, -2) = 1 AND candidate.fid = 2
        THEN list_extract(curve_magpsf, -2) - candidate.magpsf <= 0.3
    ELSE candidate.magpsf > list_extract(curve_magpsf, -2)
END
AND (candidate.ssnamenr IS NULL OR candidate.ssnamenr = 'null')
