-- what: the class of each ZTF alert
-- grain: one row per alert, in the order of the alerts
-- owner: science
-- inputs: candidate.jd, candidate.jdstarthist, candidate.ndethist, candidate.drb, candidate.classtar,
--         cdsxmatch, roid, tracklet, mulens, rf_snia_vs_nonia, rf_kn_vs_nonkn, snn_snia_vs_nonia, snn_sn_vs_all
-- statuses: simbad
-- version finkclass: fink-1
-- version finkclass2: 2
--
-- Table `alerts` has the inputs under their leaf names and `<module>_status` for each of the statuses. The first true
-- row of a CASE wins, and null is never true: a score that is missing names no class. Both classes are null where
-- SIMBAD was not consulted, for every row below depends on it. Macros: unspecific, extragalactic, eg.
--
-- finkclass  (fink-1) is the historical rule: any SIMBAD label but Unknown, Transient and Galaxy* wins.
-- finkclass2 (2) differs in two ways. An extragalactic label no longer wins over a supernova or kilonova candidate: a
-- supernova in a Seyfert host is a supernova. And those candidates count as votes for Ambiguous; early_sn_candidates
-- and sn_candidates are one vote, since the first is the stricter form of the second.
--
-- kilonova, early_sn and sn are the predicates of the filters kn_candidates, early_sn_candidates and sn_candidates, word
-- for word; age, GOOD and EG are those of sql/terms/ztf.sql. A test compares them.
WITH evidence AS (
    SELECT
        *,
        {'ndethist': ndethist} AS candidate,
        jd - jdstarthist AS age,
        eg(simbad_status, cdsxmatch) AS EG,
        drb > 0.5 AND classtar > 0.4 AS GOOD,
        simbad_status = 'ok'
            AND NOT unspecific(cdsxmatch)
            AND NOT starts_with(cdsxmatch, 'Galaxy') AS labelled
    FROM alerts
),
candidates AS (
    SELECT
        *,
        coalesce(
            rf_kn_vs_nonkn > 0.5
            AND GOOD
            AND age < 5
            AND candidate.ndethist < 20
            AND EG
            AND roid <> 3, false
        ) AS kilonova,
        coalesce(
            (snn_snia_vs_nonia > 0.5 OR snn_sn_vs_all > 0.5)
            AND EG
            AND GOOD
            AND rf_snia_vs_nonia > 0.5
            AND candidate.ndethist <= 20, false
        ) AS early_sn,
        coalesce(
            (snn_snia_vs_nonia > 0.5 OR snn_sn_vs_all > 0.5)
            AND EG
            AND GOOD
            AND age <= 90
            AND candidate.ndethist > 1
            AND roid <> 3, false
        ) AS sn,
        coalesce(mulens > 0, false) AS microlensing,
        coalesce(roid = 2, false) AS sso_candidate,
        coalesce(roid = 3, false) AS sso_mpc,
        coalesce(tracklet LIKE 'TRCK\_%' ESCAPE '\', false) AS in_tracklet
    FROM evidence
)
SELECT
    CASE
        WHEN simbad_status IN ('ok', 'no_match') THEN
            CASE
                WHEN labelled THEN cdsxmatch
                WHEN microlensing::int + sn::int + sso_candidate::int + sso_mpc::int >= 2 THEN 'Ambiguous'
                WHEN sso_mpc THEN 'Solar System MPC'
                WHEN in_tracklet THEN 'Tracklet'
                WHEN sso_candidate THEN 'Solar System candidate'
                WHEN kilonova THEN 'Kilonova candidate'
                WHEN early_sn THEN 'Early SN Ia candidate'
                WHEN sn THEN 'SN candidate'
                WHEN microlensing THEN 'Microlensing candidate'
                ELSE 'Unknown'
            END
    END AS finkclass,
    CASE
        WHEN simbad_status IN ('ok', 'no_match') THEN
            CASE
                WHEN labelled AND NOT (extragalactic(cdsxmatch) AND (kilonova OR early_sn OR sn)) THEN cdsxmatch
                WHEN microlensing::int + (early_sn OR sn)::int + kilonova::int
                    + sso_candidate::int + sso_mpc::int >= 2 THEN 'Ambiguous'
                WHEN sso_mpc THEN 'Solar System MPC'
                WHEN in_tracklet THEN 'Tracklet'
                WHEN sso_candidate THEN 'Solar System candidate'
                WHEN kilonova THEN 'Kilonova candidate'
                WHEN early_sn THEN 'Early SN Ia candidate'
                WHEN sn THEN 'SN candidate'
                WHEN microlensing THEN 'Microlensing candidate'
                ELSE 'Unknown'
            END
    END AS finkclass2
FROM candidates
