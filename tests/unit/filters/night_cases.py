"""For each ZTF filter of the night an alert that it takes, and for each of its clauses what is refused."""

from __future__ import annotations

from tests.unit.filters.alerts import JD, entries
from tests.unit.filters.ztf_cases import BASE, GOOD, HL, NOT_GOOD, NOT_HL, NOTHING_KNOWN, SIMBAD, Values

VARIANTS = ("anais", "emille", "julien", "maria", "emille_30days", "alexanta")
CANDIDATE: Values = {**BASE, **GOOD, "candidate.dec": 19.9, "rf_snia_vs_nonia": 0.51}
FADING: Values = {
    **BASE,
    "candidate.fid": 2,
    "candidate.magpsf": 19.7,
    "candidate.sigmapsf": 0.1,
    "candidate.ssnamenr": "null",
    "prv_candidates": entries((9.9, None), (2.0, 19.0, 2), (1.0, 19.9, 1)),
}

TAKEN: dict[str, Values] = {
    "anomaly": {**BASE, "anomaly_score": -0.1},
    "anomaly_window": {**BASE, "anomaly_score": -0.1, "candidate.dec": 20.0, "candidate.ra": 240.0},
    "anomaly_beta": {**BASE, "anomaly_score_beta": -0.1, "objectId": "ZTF21aaaaaaa"},
    "anomaly_varvara": {**BASE, "anomaly_score_varvara": -0.1, "gal_lat": -30.1},
    **{f"anomaly_{name}": {**BASE, f"anomaly_score_{name}": -0.1} for name in VARIANTS},
    "low_blazar_state": {**BASE, "blazar_stats.instantness_low": 0.0, "blazar_stats.robustness_low": 0.9},
    "high_blazar_state": {**BASE, "blazar_stats.instantness_high": 1.1, "blazar_stats.robustness_high": 1.2},
    "known_tde": {**BASE, "candidate.isdiffpos": "t", "xm_lists.known_tde": "AT 2019qiz"},
    "dwarf_agn": {**BASE, "xm_lists.dwarf_agn": "manga-1"},
    "symbiotic": {
        **BASE, "xm_lists.symbiotic_cv": "Z And", "from_upper": False, "mag_rate": -0.25, "delta_time": 2.0,
    },
    "cv": {**BASE, "xm_lists.symbiotic_cv": "Z And", "from_upper": False, "mag_rate": -1.5, "delta_time": 2.0},
    "slsn": {
        **BASE,
        "slsn_score": 0.5,
        "candidate.fid": 1,
        "candidate.magpsf": 19.0,
        "candidate.sigmapsf": 0.1,
        "candidate.jdstarthist": JD - 499.0,
        "prv_candidates": entries((9.0, 20.0), (6.0, 19.0), (3.0, 18.0)),
    },
    "vast_sn": {**BASE, "mangrove.lum_dist": "199.9", "candidate.dec": -10.1, "tns": "SN Ia"},
    "active_learning": {**CANDIDATE, "candidate.jdstarthist": JD - 19.9},
    "active_learning_best": {**CANDIDATE, "candidate.jdstarthist": JD - 9.9},
    "hostless": {**BASE, **HL, "nalerthist": 20},
    "orphan_grb": FADING,
}  # fmt: skip
"""By filter: an alert that it takes, close to its limits."""

_EG = ("EG", [NOTHING_KNOWN, {SIMBAD: "unavailable"}])
_GOOD = ("GOOD", NOT_GOOD)
_NORTH = ("candidate.dec < 20", [{"candidate.dec": 20.0}])

REFUSED: dict[str, list[tuple[str, list[Values]]]] = {
    "anomaly": [("NOT anomaly_score IS NULL", [{"anomaly_score": None}])],
    "anomaly_window": [
        ("NOT anomaly_score IS NULL", [{"anomaly_score": None}]),
        ("candidate.dec <= 20", [{"candidate.dec": 20.1}]),
        ("candidate.ra BETWEEN 160 AND 240", [{"candidate.ra": 159.9}, {"candidate.ra": 240.1}]),
    ],
    "anomaly_beta": [
        ("NOT anomaly_score_beta IS NULL", [{"anomaly_score_beta": None}]),
        ("objectId LIKE '%ZTF21%'", [{"objectId": "ZTF20aaaaaaa"}]),
    ],
    "anomaly_varvara": [
        ("NOT anomaly_score_varvara IS NULL", [{"anomaly_score_varvara": None}]),
        ("abs(sin(radians(gal_lat))) > 0.5", [{"gal_lat": 29.9}, {"gal_lat": -29.9}]),
    ],
    **{
        f"anomaly_{name}": [(f"NOT anomaly_score_{name} IS NULL", [{f"anomaly_score_{name}": None}])]
        for name in VARIANTS
    },
    "low_blazar_state": [
        ("blazar_stats['instantness_low'] >= 0", [{"blazar_stats.instantness_low": -0.1}]),
        ("blazar_stats['instantness_low'] < 1", [{"blazar_stats.instantness_low": 1.0}]),
        ("blazar_stats['robustness_low'] >= 0", [{"blazar_stats.robustness_low": -1.0}]),
        ("blazar_stats['robustness_low'] < 1", [{"blazar_stats.robustness_low": 1.0}]),
    ],
    "high_blazar_state": [
        ("blazar_stats['instantness_high'] > 1", [{"blazar_stats.instantness_high": 1.0}]),
        ("blazar_stats['robustness_high'] > 1", [{"blazar_stats.robustness_high": 1.0}]),
    ],
    "known_tde": [
        ("POS", [{"candidate.isdiffpos": "f"}]),
        ("NOT xm_lists['known_tde'] IS NULL", [{"xm_lists.known_tde": None}]),
    ],
    "dwarf_agn": [("NOT xm_lists['dwarf_agn'] IS NULL", [{"xm_lists.dwarf_agn": None}])],
    "symbiotic": [
        ("NOT xm_lists['symbiotic_cv'] IS NULL", [{"xm_lists.symbiotic_cv": None}]),
        ("NOT from_upper", [{"from_upper": True}]),
        ("mag_rate * delta_time <= -0.5", [{"mag_rate": -0.24}, {"mag_rate": 0.25}]),
    ],
    "cv": [
        ("NOT xm_lists['symbiotic_cv'] IS NULL", [{"xm_lists.symbiotic_cv": None}]),
        ("NOT from_upper", [{"from_upper": True}]),
        ("mag_rate * delta_time <= -3.0", [{"mag_rate": -1.49}, {"mag_rate": 3.0}]),
    ],
    "slsn": [
        ("slsn_score >= 0.5", [{"slsn_score": 0.49}]),
        (
            "(turns_g + turns_r) / 2.0 <= 2",
            [{"prv_candidates": entries(*((9.0 - n, 18.0 + n % 2) for n in range(7)))}],
        ),
        ("age < 500", [{"candidate.jdstarthist": JD - 500.1}]),
    ],
    "vast_sn": [
        ("CAST(mangrove['lum_dist'] AS DOUBLE) < 200", [{"mangrove.lum_dist": "200.0"}, {"mangrove.lum_dist": "far"}]),
        ("candidate.dec < -10", [{"candidate.dec": -10.0}]),
        ("NOT tns IS NULL OR snn_sn_vs_all > 0.5", [{"tns": None}, {"tns": None, "snn_sn_vs_all": 0.5}]),
    ],
    "active_learning": [
        _EG,
        _GOOD,
        _NORTH,
        ("age <= 20", [{"candidate.jdstarthist": JD - 20.1}]),
        ("rf_snia_vs_nonia > 0", [{"rf_snia_vs_nonia": 0.0}]),
    ],
    "active_learning_best": [
        _EG,
        _GOOD,
        _NORTH,
        ("age <= 10", [{"candidate.jdstarthist": JD - 10.1}]),
        ("rf_snia_vs_nonia > 0.5", [{"rf_snia_vs_nonia": 0.5}]),
    ],
    "hostless": [("HL", NOT_HL), ("nalerthist <= 20", [{"nalerthist": 21}])],
    "orphan_grb": [
        ("age <= 30", [{"candidate.jdstarthist": JD - 30.1}]),
        ("length(curve_jd) >= 3", [{"prv_candidates": entries((3.0, None), (1.0, 19.9, 1))}]),
        ("candidate.jd - list_min(curve_jd) <= 10", [{"prv_candidates": entries((10.1, 19.0, 2), (1.0, 19.9, 1))}]),
        ("list_min(curve_magpsf) > 18", [{"prv_candidates": entries((2.0, 17.9, 2), (1.0, 19.9, 1))}]),
        (
            "list_avg(curve_g) >= list_avg(curve_r)",
            [{"prv_candidates": entries((2.0, 20.5, 2), (1.0, 19.9, 1))}],
        ),
        (
            "CASE WHEN list_extract(curve_fid, -2) = 1 AND candidate.fid = 2 THEN list_extract(curve_magpsf, -2) - "
            "candidate.magpsf <= 0.3 ELSE candidate.magpsf > list_extract(curve_magpsf, -2) END",
            [
                {"prv_candidates": entries((2.0, 19.0, 2), (1.0, 20.1, 1))},
                {"prv_candidates": entries((2.0, 20.5, 1), (1.0, 19.8, 2))},
            ],
        ),
        ("candidate.ssnamenr IS NULL OR candidate.ssnamenr = 'null'", [{"candidate.ssnamenr": "Ceres"}]),
    ],
}
"""By filter, in the order of its clauses: the clause, and what makes it alone false."""

NULL_PASSES: dict[str, frozenset[str]] = {
    **dict.fromkeys(("active_learning", "active_learning_best"), frozenset({"cdsxmatch"})),
    "vast_sn": frozenset({"snn_sn_vs_all"}),
    # times and magnitudes of the history are what they are; an error is not needed
    "orphan_grb": frozenset({"candidate.ssnamenr", "candidate.sigmapsf"}),
    "slsn": frozenset({"prv_candidates", "candidate.magpsf", "candidate.sigmapsf", "candidate.fid"}),
}
"""What a taken alert may lack: what does not decide there."""
