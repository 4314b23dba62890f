"""How a missing value of a Fink column looks to a reader.

In storage missing is null, and ``fink_status`` says why. Fink's clients expect a fixed value where the broker looked
and found nothing; where it could not look, they get null, so that an outage never reads as "nothing there".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.api.columns import with_columns
from fink_lib.surveys.ztf_columns import BLAZAR_COLUMNS, BLAZAR_LEGACY_KEYS, MANGROVE_KEYS
from fink_lib.surveys.ztf_packet import HISTORIC, NO_MATCH

STATUS_COLUMN = "d:fink_status"
LOOKED = ("ok", "no_match", "not_applicable")
"""Words of ``fink_status`` after which a null means that there is nothing; after any other, nobody knows."""


@dataclass(frozen=True)
class Default:
    """What a reader gets for "nothing there".

    Parameters
    ----------
    module : str
        The science module that fills the column, as in ``fink_status``; empty for a column without one, such as the
        tracklet, which is null until the night is closed.
    value : object
        Fink's value.
    """

    module: str
    value: Any


_MODULES: Mapping[str, tuple[str, ...]] = {
    "simbad": ("cdsxmatch",),
    "tns": ("tns",),
    "gaia": ("DR3Name", "Plx", "e_Plx", "gaiaVarFlag"),
    "gaia_class": ("gaiaClass",),
    "vsx": ("vsx",),
    "spicy": ("spicy_id", "spicy_class"),
    "gcvs": ("gcvs",),
    "3hsp": ("x3hsp",),
    "4lac": ("x4lac",),
    "mangrove": tuple(f"mangrove_{key}" for key in MANGROVE_KEYS),
    "roid": ("roid",),
    "rf_snia": ("rf_snia_vs_nonia",),
    "rf_kn": ("rf_kn_vs_nonkn",),
    "snn": ("snn_snia_vs_nonia", "snn_sn_vs_all"),
    "microlensing": ("mulens",),
    "slsn": ("slsn_score",),
    "anomaly_score": ("anomaly_score",),
    "is_transient": ("is_transient",),
    "lc_features_g": ("lc_features_g",),
    "lc_features_r": ("lc_features_r",),
    "mag_rate": ("mag_rate", "sigma_rate", "lower_rate", "upper_rate"),
    "previous_entry": ("delta_time", "from_upper"),
    "blazar_stats": (*(f"blazar_stats_{key}" for key in BLAZAR_LEGACY_KEYS), *BLAZAR_COLUMNS),
    "": ("tracklet",),
}
"""Columns that have a value for "nothing there", by the science module that fills them."""

# A packet in Kafka has null for some of what an answer of the API has a number for.
_VALUES: Mapping[str, Any] = {
    **HISTORIC,
    "cdsxmatch": NO_MATCH,
    **dict.fromkeys(("Plx", "e_Plx", "anomaly_score"), 0.0),
    **dict.fromkeys(("mag_rate", "sigma_rate", "lower_rate", "upper_rate", "delta_time"), 0.0),
    **dict.fromkeys(("lc_features_g", "lc_features_r"), "[]"),
    **dict.fromkeys(_MODULES["mangrove"], "None"),
    **dict.fromkeys(_MODULES["blazar_stats"], -1.0),
}

ZTF_DEFAULTS: Mapping[str, Default] = {
    f"d:{column}": Default(module, _VALUES[column]) for module, columns in _MODULES.items() for column in columns
}
"""Fink's values of the ZTF columns."""


def render_missing(table: pa.Table, defaults: Mapping[str, Default] = ZTF_DEFAULTS) -> pa.Table:
    """Put Fink's values in the place of nulls that mean "nothing there".

    Parameters
    ----------
    table : pyarrow.Table
        Served columns, among them :data:`STATUS_COLUMN` as a map.
    defaults : mapping of str to Default
        By column.

    Returns
    -------
    pyarrow.Table
        The same columns; nulls that stay mean that nobody knows.
    """
    columns = dict(zip(table.column_names, table.columns, strict=True))
    return with_columns(table, filled_columns(columns, defaults))


def filled_columns(
    columns: Mapping[str, pa.Array | pa.ChunkedArray], defaults: Mapping[str, Default] = ZTF_DEFAULTS
) -> dict[str, pa.ChunkedArray]:
    """Give the columns that :func:`render_missing` changes, by name."""
    changed: dict[str, pa.ChunkedArray] = {}
    looked: dict[str, npt.NDArray[np.bool_]] = {}
    for name, default in defaults.items():
        column = columns.get(name)
        if column is None or pa.types.is_null(column.type) or column.null_count == 0:
            continue
        where: npt.NDArray[np.bool_] | None = None
        if default.module:
            looked = looked or looked_in(columns[STATUS_COLUMN])
            where = looked.get(default.module)
            if where is None or not where.any():
                continue
        filled = pc.fill_null(column, pa.scalar(default.value, column.type))
        changed[name] = filled if where is None or where.all() else pc.if_else(pa.array(where), filled, column)
    return changed


def looked_in(status: pa.ChunkedArray) -> dict[str, npt.NDArray[np.bool_]]:
    """Tell for each module that some row names in which rows it looked; all modules in one pass."""
    maps = status.combine_chunks()
    maps = pa.concat_arrays(maps.chunks) if isinstance(maps, pa.ChunkedArray) else pa.concat_arrays([maps])
    lengths = pc.fill_null(pc.list_value_length(maps.cast(pa.list_(_ENTRY))), 0).to_numpy(zero_copy_only=False)
    flat = maps.cast(pa.list_(_ENTRY)).flatten()
    rows = np.repeat(np.arange(len(maps)), lengths)
    keys = pc.struct_field(flat, 0).dictionary_encode()
    codes = keys.indices.to_numpy(zero_copy_only=False)
    said = pc.fill_null(pc.is_in(pc.struct_field(flat, 1), value_set=_LOOKED), False).to_numpy(zero_copy_only=False)
    found = {}
    for code, module in enumerate(keys.dictionary.to_pylist()):
        mask = np.zeros(len(maps), dtype=bool)
        mask[rows[(codes == code) & said]] = True
        found[module] = mask
    return found


_ENTRY = pa.struct([pa.field("key", pa.string(), nullable=False), pa.field("value", pa.string())])
_LOOKED = pa.array(LOOKED)
