"""The enriched ZTF packet: its fields in order, and what stands in it for a missing value.

In the lake a missing value is null. Users of the streams have been given other values for years (a text, a zero, a
minus one), and their programs compare with them; those historic values are put in here, at the edge, and nowhere else.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.surveys.ztf import cutout_names
from fink_lib.surveys.ztf_columns import (
    ANOMALY_VARIANTS,
    BLAZAR_KEYS,
    BLAZAR_LEGACY_KEYS,
    FINK_SCHEMA,
    MANGROVE_KEYS,
)

_UNIX_EPOCH_JD = 2_440_587.5
_DAY_US = 86_400_000_000
_STAMP = pa.struct([("fileName", pa.string()), ("stampData", pa.binary())])

SURVEY_FIELDS = ("schemavsn", "publisher", "objectId", "candid", "candidate", "prv_candidates", "fp_hists")
CUTOUTS = {"cutoutScience": "science", "cutoutTemplate": "template", "cutoutDifference": "difference"}
"""Field of the packet to column of table ``cutouts``."""

PROCESS_FIELDS = {
    "brokerIngestTimestamp": ("ingest", "ingested"),
    "brokerStartProcessTimestamp": ("process", "started"),
    "brokerEndProcessTimestamp": ("process", "ended"),
    "fink_broker_version": ("process", "broker_version"),
    "fink_science_version": ("process", "science_version"),
}
"""Field of the packet to place in table ``science``."""

ADDED_FIELDS = (
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
    "mangrove",
    "roid",
    "nalerthist",
    "rf_snia_vs_nonia",
    "rf_kn_vs_nonkn",
    "snn_snia_vs_nonia",
    "snn_sn_vs_all",
    "mulens",
    "anomaly_score",
    *(f"anomaly_score_{variant}" for variant in ANOMALY_VARIANTS),
    "slsn_score",
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
    "blazar_stats",
    "tracklet",
    "finkclass",
    "fink_status",
)
"""The broker's columns that go out; the others stay in the lake."""

NO_MATCH = "Unknown"
NO_ANSWER = "Fail"
HISTORIC: dict[str, str | int | float | bool] = {
    **dict.fromkeys(("gcvs", "x3hsp", "x4lac", "spicy_class"), NO_MATCH),
    **dict.fromkeys(("DR3Name", "gaiaClass", "vsx"), "nan"),
    **dict.fromkeys(("tns", "tracklet"), ""),
    **dict.fromkeys(("rf_snia_vs_nonia", "rf_kn_vs_nonkn", "snn_snia_vs_nonia", "snn_sn_vs_all", "mulens"), 0.0),
    **dict.fromkeys(("roid", "gaiaVarFlag"), 0),
    **dict.fromkeys(("from_upper", "is_transient"), False),
    "spicy_id": -1,
    "slsn_score": -1.0,
}
"""What stands for null, beside ``cdsxmatch`` (by its status) and the two maps (all keys, ``None`` as text or -1).

Columns that are not named here stay null: parallaxes, rates, anomaly scores, light-curve features, the class.
"""


class ZtfPacket:
    """The packet of :mod:`fink_lib.streams.packet` for ZTF.

    Parameters
    ----------
    alert_schema : pyarrow.Schema
        Columns of a decoded ZTF alert.
    """

    columns = (*SURVEY_FIELDS, *ADDED_FIELDS, "ingest", "process")

    def __init__(self, alert_schema: pa.Schema) -> None:
        survey = [alert_schema.field(name) for name in SURVEY_FIELDS]
        self.schema = pa.schema(
            [
                *(field.with_nullable(field.name != "candidate") for field in survey),
                *(pa.field(name, _STAMP, nullable=False) for name in CUTOUTS),
                *((name, pa.string()) for name in ("timestamp", *PROCESS_FIELDS)),
                *(FINK_SCHEMA.field(name) for name in ADDED_FIELDS),
            ]
        )

    def times(self, science: pa.Table) -> pa.Array:
        """Give the time of each alert: JD, UTC."""
        return pc.struct_field(science.column("candidate"), "jd")

    def rows(self, science: pa.Table, stamps: pa.Table) -> pa.Table:
        """Give the packets as a table of :attr:`schema`.

        Parameters
        ----------
        science : pyarrow.Table
            Rows of table ``science``, at least :attr:`columns`.
        stamps : pyarrow.Table
            ``science``, ``template``, ``difference`` for each of these rows; null where an alert has no image.
        """
        values: dict[str, pa.Array | pa.ChunkedArray] = {name: science.column(name) for name in SURVEY_FIELDS}
        values |= _cutouts(science, stamps)
        values["timestamp"] = _text_of_jd(self.times(science))
        for name, (record, field) in PROCESS_FIELDS.items():
            values[name] = _text(pc.struct_field(science.column(record), field))
        for name in ADDED_FIELDS:
            column = science.column(name)
            values[name] = pc.fill_null(column, HISTORIC[name]) if name in HISTORIC else column
        values["cdsxmatch"] = _label(science)
        values["mangrove"] = _whole_map(science.column("mangrove"), MANGROVE_KEYS, "None")
        values["blazar_stats"] = _whole_map(science.column("blazar_stats"), (*BLAZAR_KEYS, *BLAZAR_LEGACY_KEYS), -1.0)
        return pa.Table.from_arrays([values[field.name] for field in self.schema], schema=self.schema)


def _cutouts(science: pa.Table, stamps: pa.Table) -> dict[str, pa.Array]:
    """Put the images under the file names that ZTF gave them; both null where there is no image."""
    candidate = science.column("candidate")
    positive = pc.is_in(pc.struct_field(candidate, "isdiffpos"), pa.array(["t", "1", "true"]))
    places = zip(
        science.column("candid").to_pylist(),
        pc.struct_field(candidate, "pid").to_pylist(),
        positive.to_pylist(),
        strict=True,
    )
    names = [cutout_names(*place) for place in places]
    fields: dict[str, pa.Array] = {}
    for field, column in CUTOUTS.items():
        images = stamps.column(column).combine_chunks()
        written = pa.array([name[field] for name in names], pa.string())
        fields[field] = pa.StructArray.from_arrays(
            [pc.if_else(pc.is_valid(images), written, pa.scalar(None, pa.string())), images], fields=list(_STAMP)
        )
    return fields


def _label(science: pa.Table) -> pa.ChunkedArray:
    """Tell no match from no answer, which the historic packet does in the column itself."""
    status = pc.map_lookup(science.column("fink_status"), pa.scalar("simbad"), "first")
    answered = pc.is_in(status, pa.array(["ok", "no_match", "not_applicable"]))
    return pc.coalesce(science.column("cdsxmatch"), pc.if_else(answered, NO_MATCH, NO_ANSWER))


def _whole_map(column: pa.ChunkedArray, keys: tuple[str, ...], missing: str | float) -> pa.MapArray:
    """Give a map with exactly `keys` in each row."""
    rows, item_type = len(column), column.type.item_type
    filled = [_one(pc.fill_null(pc.map_lookup(column, pa.scalar(key), "first"), missing)) for key in keys]
    by_row = np.arange(rows * len(keys)).reshape(len(keys), rows).T.reshape(-1)
    return pa.MapArray.from_arrays(
        pa.array(np.arange(rows + 1, dtype=np.int32) * len(keys)),
        pa.array(list(keys) * rows, pa.string()),
        pa.concat_arrays(filled).take(pa.array(by_row)).cast(item_type),
    )


def _one(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Write times as ``YYYY-MM-DD HH:MM:SS.ffffff``, UTC, as they always were in these packets."""
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.timestamp("us")).cast(pa.string())
    return column


def _text_of_jd(jd: pa.ChunkedArray) -> pa.ChunkedArray:
    since_us = pc.round(pc.multiply(pc.subtract(jd, _UNIX_EPOCH_JD), float(_DAY_US)))
    return _text(since_us.cast(pa.int64()).cast(pa.timestamp("us")))
