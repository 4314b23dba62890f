"""For each live ZTF filter an alert that it takes, and for each of its clauses the values with which it does not."""

from __future__ import annotations

from typing import Any

from tests.unit.filters.alerts import JD, entries

Values = dict[str, Any]

SIMBAD, GAIA = "fink_status.simbad", "fink_status.gaia"
BASE: Values = {"candidate.jd": JD, "candidate.jdstarthist": JD - 3.0, "roid": 0, SIMBAD: "no_match"}

NOTHING_KNOWN: Values = {SIMBAD: "ok", "cdsxmatch": "Star"}
NOT_GOOD: list[Values] = [{"candidate.drb": 0.5}, {"candidate.classtar": 0.4}]
NOT_UNCAT: list[Values] = [
    {"candidate.distnr": 1.5},
    {SIMBAD: "ok"},
    {SIMBAD: "unavailable"},
    {GAIA: "ok"},
    {GAIA: "failed"},
    {"roid": 3},
]
NOT_HL: list[Values] = [
    {"elephant_kstest_science": 0.51},
    {"elephant_kstest_template": 0.86},
    {"elephant_kstest_science": -0.1},
]
HL: Values = {"elephant_kstest_science": 0.5, "elephant_kstest_template": 0.85}
HOSTLESS: Values = {**BASE, **HL, GAIA: "no_match", "candidate.distnr": 3.0}
GOOD: Values = {"candidate.drb": 0.95, "candidate.classtar": 0.95}


def of_type(label: str) -> Values:
    """A SIMBAD match."""
    return {SIMBAD: "ok", "cdsxmatch": label}


TAKEN: dict[str, Values] = {
    "blazar": {**BASE, **of_type("BLLac_Candidate")},
    "early_sn_candidates": {
        **BASE,
        **GOOD,
        "snn_snia_vs_nonia": 0.6,
        "snn_sn_vs_all": 0.1,
        "rf_snia_vs_nonia": 0.6,
        "candidate.ndethist": 20,
    },
    "sn_candidates": {
        **BASE,
        **GOOD,
        "snn_snia_vs_nonia": 0.1,
        "snn_sn_vs_all": 0.6,
        "candidate.ndethist": 2,
        "candidate.jdstarthist": JD - 89.9,
    },
    "kn_candidates": {**BASE, **GOOD, "rf_kn_vs_nonkn": 0.6, "candidate.ndethist": 19},
    "early_kn_candidates": {
        **BASE,
        **GOOD,
        "candidate.jdstarthist": JD - 0.2,
        "kn_host.lum_dist": 80.0,
        "star_near": False,
        "gal_lat": -40.0,
        "ecl_lat": 20.0,
    },
    "rate_based_kn_candidates": {
        **BASE,
        **GOOD,
        "candidate.ndethist": 19,
        "candidate.isdiffpos": "1",
        "candidate.ssdistnr": -999.0,
        "gal_lat": -40.0,
        "kn_rate": 0.31,
        "star_near": False,
    },
    "microlensing_candidates": {**BASE, "mulens": 0.001},
    "simbad_grav_candidates": {**BASE, **of_type("GravLens")},
    "sso_ztf_candidates": {**BASE, "roid": 3},
    "sso_fink_candidates": {**BASE, "roid": 2},
    "tns_match": {**BASE, "tns": "SN Ia", "candidate.jdstarthist": JD - 29.9},
    "unknowns": {**BASE, "finkclass": "Unknown"},
    "vra": {**BASE, "candidate.magpsf": 19.6, "candidate.drb": 0.6},
    "yso_candidates": {**BASE, **of_type("Candidate_YSO")},
    "yso_spicy_candidates": {
        **BASE,
        "spicy_class": "ClassII",
        "lc_features_r.linear_fit_slope": -0.03,
        "r_linfit_r2": 0.7,
    },
    "magnetic_cvs": {**BASE, "candidate.isdiffpos": "t", "xm_lists.magnetic_cv": "AM Her"},
    "new_hostless": {**HOSTLESS, "candidate.ndethist": 1},
    "intra_night_hostless": {**HOSTLESS, "candidate.ndethist": 2, "prv_candidates": entries((3.0, None), (0.1, 19.0))},
    "inter_night_hostless": {
        **HOSTLESS,
        "candidate.ndethist": 3,
        "prv_candidates": entries((4.0, None), (2.1, 19.0), (2.0, 19.1)),
    },
    "fast_riser_candidates": {
        **BASE,
        "candidate.drb": 0.6,
        "candidate.jdstarthist": JD - 59.9,
        "rise_rate": 0.25,
    },
    "first_pass_candidates": {**BASE, "roid": 1},
}
"""By filter: an alert that it takes, close to its limits."""

REFUSED: dict[str, list[tuple[str, list[Values]]]] = {
    "blazar": [
        (
            "simbad_type('Bla', 'Bz?', 'BLL', 'BL?')",
            [of_type("QSO"), of_type("AGN"), {SIMBAD: "no_match"}, {SIMBAD: "unavailable"}],
        )
    ],
    "early_sn_candidates": [
        ("snn_snia_vs_nonia > 0.5 OR snn_sn_vs_all > 0.5", [{"snn_snia_vs_nonia": 0.5}]),
        ("EG", [NOTHING_KNOWN, {SIMBAD: "unavailable"}]),
        ("GOOD", NOT_GOOD),
        ("rf_snia_vs_nonia > 0.5", [{"rf_snia_vs_nonia": 0.5}]),
        ("candidate.ndethist <= 20", [{"candidate.ndethist": 21}]),
    ],
    "sn_candidates": [
        ("snn_snia_vs_nonia > 0.5 OR snn_sn_vs_all > 0.5", [{"snn_sn_vs_all": 0.5}]),
        ("EG", [NOTHING_KNOWN, {SIMBAD: "failed"}]),
        ("GOOD", NOT_GOOD),
        ("age <= 90", [{"candidate.jdstarthist": JD - 90.1}]),
        ("candidate.ndethist > 1", [{"candidate.ndethist": 1}]),
        ("roid <> 3", [{"roid": 3}]),
    ],
    "kn_candidates": [
        ("rf_kn_vs_nonkn > 0.5", [{"rf_kn_vs_nonkn": 0.5}]),
        ("GOOD", NOT_GOOD),
        ("age < 5", [{"candidate.jdstarthist": JD - 5.1}]),
        ("candidate.ndethist < 20", [{"candidate.ndethist": 20}]),
        ("EG", [NOTHING_KNOWN, {SIMBAD: "unavailable"}]),
        ("roid <> 3", [{"roid": 3}]),
    ],
    "early_kn_candidates": [
        ("GOOD", NOT_GOOD),
        ("age < 0.25", [{"candidate.jdstarthist": JD - 0.26}]),
        ("EG", [NOTHING_KNOWN, {SIMBAD: "unavailable"}]),
        ("roid <> 3", [{"roid": 3}]),
        ("NOT kn_host.lum_dist IS NULL", [{"kn_host.lum_dist": None}]),
        ("NOT star_near", [{"star_near": True}]),
        ("abs(gal_lat) > 10", [{"gal_lat": -10.0}]),
        ("abs(ecl_lat) > 10", [{"ecl_lat": 9.9}]),
    ],
    "rate_based_kn_candidates": [
        ("candidate.drb > 0.9", [{"candidate.drb": 0.89}]),
        ("candidate.classtar > 0.4", [{"candidate.classtar": 0.4}]),
        ("age < 5", [{"candidate.jdstarthist": JD - 5.1}]),
        ("candidate.ndethist < 20", [{"candidate.ndethist": 20}]),
        ("POS", [{"candidate.isdiffpos": "f"}, {"candidate.isdiffpos": "0"}]),
        ("candidate.ssdistnr > 10 OR candidate.ssdistnr < 0", [{"candidate.ssdistnr": 10.0}]),
        ("abs(gal_lat) > 10", [{"gal_lat": 10.0}]),
        ("EG", [NOTHING_KNOWN, {SIMBAD: "unavailable"}]),
        ("kn_rate > 0.3", [{"kn_rate": 0.3}]),
        ("NOT star_near", [{"star_near": True}]),
    ],
    "microlensing_candidates": [("mulens > 0", [{"mulens": 0.0}])],
    "simbad_grav_candidates": [
        (
            "simbad_type('grv', 'Lev', 'gLS', 'gLe', 'LeI', 'LeG', 'LeQ', 'BH', 'GWE')",
            [of_type("GravLens_Candidate"), of_type("Galaxy"), {SIMBAD: "no_match"}],
        )
    ],
    "sso_ztf_candidates": [("roid = 3", [{"roid": 2}])],
    "sso_fink_candidates": [("roid = 2", [{"roid": 3}])],
    "tns_match": [
        ("NOT tns IS NULL", [{"tns": None}]),
        ("age <= 30", [{"candidate.jdstarthist": JD - 30.1}]),
    ],
    "unknowns": [
        ("finkclass = 'Unknown'", [{"finkclass": "SN candidate"}]),
        ("fink_status['simbad'] = 'no_match'", [{SIMBAD: "ok"}, {SIMBAD: "unavailable"}]),
    ],
    "vra": [
        ("fink_status['simbad'] = 'no_match'", [{SIMBAD: "ok"}, {SIMBAD: "unavailable"}]),
        ("roid <> 3", [{"roid": 3}]),
        ("candidate.magpsf > 19.5", [{"candidate.magpsf": 19.5}]),
        ("candidate.drb > 0.5", [{"candidate.drb": 0.5}]),
    ],
    "yso_candidates": [
        (
            "simbad_type('Y*?', 'TT?') OR cdsxmatch = 'TTau*_Candidate'",
            [of_type("YSO"), of_type("TTau*"), {SIMBAD: "no_match", "cdsxmatch": None}],
        )
    ],
    "yso_spicy_candidates": [
        ("NOT spicy_class IS NULL", [{"spicy_class": None}]),
        ("abs(lc_features_r.linear_fit_slope) > 0.025", [{"lc_features_r.linear_fit_slope": 0.025}]),
        ("r_linfit_r2 > 0.6", [{"r_linfit_r2": 0.6}]),
    ],
    "magnetic_cvs": [
        ("POS", [{"candidate.isdiffpos": "f"}]),
        ("NOT xm_lists['magnetic_cv'] IS NULL", [{"xm_lists.magnetic_cv": None}]),
    ],
    "new_hostless": [
        ("UNCAT", NOT_UNCAT),
        ("candidate.ndethist = 1", [{"candidate.ndethist": 2}]),
        ("HL", NOT_HL),
    ],
    "intra_night_hostless": [
        ("UNCAT", NOT_UNCAT),
        ("candidate.ndethist = 2", [{"candidate.ndethist": 1}, {"candidate.ndethist": 3}]),
        ("last_valid", [{"prv_candidates": entries((0.2, 19.0), (0.1, None))}]),
        ("last_gap < 0.5", [{"prv_candidates": entries((0.51, 19.0))}]),
        ("HL", NOT_HL),
    ],
    "inter_night_hostless": [
        ("UNCAT", NOT_UNCAT),
        ("candidate.ndethist = 3", [{"candidate.ndethist": 2}, {"candidate.ndethist": 4}]),
        ("last_valid", [{"prv_candidates": entries((2.1, 19.0), (2.0, None))}]),
        ("previous_valid", [{"prv_candidates": entries((2.1, None), (2.0, 19.0))}]),
        ("last_gap > 0.5", [{"prv_candidates": entries((0.2, 19.0), (0.1, 19.0))}]),
        ("previous_gap < 0.5", [{"prv_candidates": entries((2.51, 19.0), (2.0, 19.0))}]),
        ("HL", NOT_HL),
    ],
    "fast_riser_candidates": [
        ("EG", [NOTHING_KNOWN, {SIMBAD: "unavailable"}]),
        ("NOT roid IN (2, 3)", [{"roid": 2}, {"roid": 3}]),
        ("candidate.drb > 0.5", [{"candidate.drb": 0.5}]),
        ("age <= 60", [{"candidate.jdstarthist": JD - 60.1}]),
        ("rise_rate >= 0.25", [{"rise_rate": 0.249}]),
    ],
    "first_pass_candidates": [("roid = 1", [{"roid": 0}])],
}
"""By filter, in the order of its clauses: the clause, and what makes it alone false."""

NULL_PASSES: dict[str, frozenset[str]] = {
    "early_sn_candidates": frozenset({"cdsxmatch", "snn_sn_vs_all"}),
    "sn_candidates": frozenset({"cdsxmatch", "snn_snia_vs_nonia"}),
    **dict.fromkeys(
        ("kn_candidates", "early_kn_candidates", "rate_based_kn_candidates", "fast_riser_candidates"),
        frozenset({"cdsxmatch"}),
    ),
    **dict.fromkeys(("new_hostless", "intra_night_hostless", "inter_night_hostless"), frozenset({"candidate.distnr"})),
}
"""What a taken alert may lack: a label where SIMBAD has nothing, one of two scores, a reference source."""
