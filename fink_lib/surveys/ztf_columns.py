"""The columns that the broker adds to a ZTF alert, and the column sets of the archive and the API.

Names and types are those that Fink publishes; clients depend on them. Columns without a module stay null.
"""

from __future__ import annotations

import pyarrow as pa

_STRINGS = pa.map_(pa.string(), pa.string())
_FLOATS = pa.map_(pa.string(), pa.float32())

LC_FEATURES = (
    "mean",
    "weighted_mean",
    "standard_deviation",
    "median",
    "amplitude",
    "beyond_1_std",
    "cusum",
    "inter_percentile_range_10",
    "kurtosis",
    "linear_trend",
    "linear_trend_sigma",
    "linear_trend_noise",
    "linear_fit_slope",
    "linear_fit_slope_sigma",
    "linear_fit_reduced_chi2",
    "magnitude_percentage_ratio_40_5",
    "magnitude_percentage_ratio_20_10",
    "maximum_slope",
    "median_absolute_deviation",
    "median_buffer_range_percentage_10",
    "percent_amplitude",
    "mean_variance",
    "anderson_darling_normal",
    "chi2",
    "skew",
    "stetson_K",
)
"""Light-curve features of one band, in the order that models take them."""

ANOMALY_VARIANTS = ("beta", "anais", "emille", "julien", "maria", "emille_30days", "varvara", "alexanta")
"""Expert-trained variants of the anomaly score."""

MANGROVE_KEYS = ("HyperLEDA_name", "2MASS_name", "lum_dist", "ang_dist")
BLAZAR_KEYS = (
    "instantness_low",
    "robustness_low",
    "instantness_high",
    "robustness_high",
    "cdf_quantile",
)
BLAZAR_LEGACY_KEYS = ("m0", "m1", "m2")

_FEATURES = pa.struct([(name, pa.float64()) for name in LC_FEATURES])
_KN_HOST = pa.struct(
    [("name", pa.string()), ("lum_dist", pa.float64()), ("sep_kpc", pa.float64()), ("absmag", pa.float64())]
)

FINK_SCHEMA = pa.schema(
    [
        # catalogues
        ("cdsxmatch", pa.string()),
        ("tns", pa.string()),
        ("DR3Name", pa.string()),
        ("Plx", pa.float32()),
        ("e_Plx", pa.float32()),
        ("gaiaVarFlag", pa.int32()),
        ("gaiaClass", pa.string()),
        ("vsx", pa.string()),
        ("spicy_id", pa.int32()),
        ("spicy_class", pa.string()),
        ("gcvs", pa.string()),
        ("x3hsp", pa.string()),
        ("x4lac", pa.string()),
        ("mangrove", _STRINGS),
        ("xm_lists", _STRINGS),
        ("xm_sep", _FLOATS),
        ("kn_host", _KN_HOST),
        ("star_near", pa.bool_()),
        # scores
        ("roid", pa.int32()),
        ("nalerthist", pa.int32()),
        ("rf_snia_vs_nonia", pa.float64()),
        ("snn_snia_vs_nonia", pa.float64()),
        ("snn_sn_vs_all", pa.float64()),
        ("rf_kn_vs_nonkn", pa.float64()),
        ("mulens", pa.float64()),
        ("slsn_score", pa.float64()),
        ("agn_score", pa.float64()),
        ("anomaly_score", pa.float64()),
        *((f"anomaly_score_{variant}", pa.float64()) for variant in ANOMALY_VARIANTS),
        ("is_transient", pa.bool_()),
        ("elephant_kstest_science", pa.float32()),
        ("elephant_kstest_template", pa.float32()),
        # light curve
        ("lc_features_g", _FEATURES),
        ("lc_features_r", _FEATURES),
        ("jd_first_real_det", pa.float64()),
        ("jdstarthist_dt", pa.float64()),
        ("mag_rate", pa.float64()),
        ("sigma_rate", pa.float64()),
        ("lower_rate", pa.float64()),
        ("upper_rate", pa.float64()),
        ("delta_time", pa.float64()),
        ("from_upper", pa.bool_()),
        ("kn_rate", pa.float64()),
        ("rise_rate", pa.float64()),
        ("r_linfit_r2", pa.float64()),
        ("blazar_stats", _FLOATS),
        # place
        ("gal_lat", pa.float64()),
        ("ecl_lat", pa.float64()),
        # class
        ("tracklet", pa.string()),
        ("finkclass", pa.string()),
        ("finkclass2", pa.string()),
        ("finkclass_version", pa.string()),
        # provenance
        ("fink_status", _STRINGS),
        ("fink_versions", _STRINGS),
    ]
)
"""What the science stage adds to an alert."""

ROOT_COLUMNS = ("fink_broker_version", "fink_science_version", "objectId", "publisher", "candid", "schemavsn")
"""Archive columns of family ``i`` that are not fields of ``candidate``."""

ADDED_COLUMNS = (
    "cdsxmatch",
    "tns",
    "DR3Name",
    "Plx",
    "e_Plx",
    "gaiaVarFlag",
    "gaiaClass",
    "vsx",
    "spicy_id",
    "spicy_class",
    "gcvs",
    "x3hsp",
    "x4lac",
    "roid",
    "nalerthist",
    "rf_snia_vs_nonia",
    "snn_snia_vs_nonia",
    "snn_sn_vs_all",
    "rf_kn_vs_nonkn",
    "mulens",
    "slsn_score",
    "anomaly_score",
    "is_transient",
    "lc_features_g",
    "lc_features_r",
    "jd_first_real_det",
    "jdstarthist_dt",
    "mag_rate",
    "sigma_rate",
    "lower_rate",
    "upper_rate",
    "delta_time",
    "from_upper",
    "tracklet",
)
"""The 34 archive columns of family ``d`` that hold one value each."""

FLATTENED_COLUMNS: dict[str, tuple[str, str]] = {
    **{f"mangrove_{key}": ("mangrove", key) for key in MANGROVE_KEYS},
    **{f"blazar_stats_{key}": ("blazar_stats", key) for key in BLAZAR_LEGACY_KEYS},
}
"""The 7 archive columns of family ``d`` taken out of a map: name to (map, key)."""

BLAZAR_COLUMNS: dict[str, tuple[str, str]] = {
    f"blazar_stats_{key}": ("blazar_stats", key)
    for key in ("instantness_low", "robustness_low", "instantness_high", "robustness_high")
}
"""The newer blazar columns, which API answers carry beside the older three."""

INDEX_ORIGINAL_COLUMNS = (
    "objectId",
    "candid",
    "publisher",
    "rcid",
    "chipsf",
    "distnr",
    "ra",
    "dec",
    "jd",
    "fid",
    "nid",
    "field",
    "xpos",
    "ypos",
    "rb",
    "ssdistnr",
    "ssmagnr",
    "ssnamenr",
    "jdstarthist",
    "jdendhist",
    "tooflag",
    "sgscore1",
    "distpsnr1",
    "neargaia",
    "maggaia",
    "nmtchps",
    "diffmaglim",
    "magpsf",
    "sigmapsf",
    "magnr",
    "sigmagnr",
    "magzpsci",
    "isdiffpos",
    "classtar",
    "drb",
    "ndethist",
)
"""The 36 columns of family ``i`` in an index table."""

LIGHT_ORIGINAL_COLUMNS = (
    "objectId",
    "candid",
    "magpsf",
    "sigmapsf",
    "jd",
    "jdstarthist",
    "drb",
    "ra",
    "dec",
    "fid",
    "distnr",
)
"""The 11 columns of family ``i`` in a light table."""

LIGHT_ADDED_COLUMNS = ("cdsxmatch", "nalerthist", "classification")
"""The columns of family ``d`` in a light table; ``classification`` is the alert's class."""


def full_columns(candidate_fields: list[str]) -> tuple[str, ...]:
    """Give the 149 columns of a full archive row as ``family:name``.

    Parameters
    ----------
    candidate_fields : list of str
        Fields of the packet's ``candidate``.
    """
    original = (*ROOT_COLUMNS, *(name for name in candidate_fields if name != "candid"))
    return (*(f"i:{name}" for name in original), *_added())


def index_columns() -> tuple[str, ...]:
    """Give the 77 columns of an index row as ``family:name``."""
    return (*(f"i:{name}" for name in INDEX_ORIGINAL_COLUMNS), *_added())


def light_columns() -> tuple[str, ...]:
    """Give the 14 columns of a light row as ``family:name``."""
    return (
        *(f"i:{name}" for name in LIGHT_ORIGINAL_COLUMNS),
        *(f"d:{name}" for name in LIGHT_ADDED_COLUMNS),
    )


def _added() -> tuple[str, ...]:
    return tuple(f"d:{name}" for name in (*ADDED_COLUMNS, *FLATTENED_COLUMNS))
