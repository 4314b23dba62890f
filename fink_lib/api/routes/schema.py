"""``/api/v1/schema``: every column of an answer, its type and what it is."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from fink_lib.api.column_sets import MAIN_TABLE, SEPARATION_COLUMN, SOURCE_COLUMN
from fink_lib.api.endpoint import Call, Endpoint
from fink_lib.api.images import image_column
from fink_lib.api.points import TAG
from fink_lib.api.stamps import KINDS
from fink_lib.archive.docs import column_doc
from fink_lib.archive.tables import archive_table

ORIGINAL = "ZTF original fields (i:)"
CUTOUTS = "ZTF original cutouts (b:)"
ADDED = "Fink science module outputs (d:)"
COMPUTED = "Fink on-the-fly added values (v:)"

_COMPUTED: dict[str, tuple[str, str]] = {
    SOURCE_COLUMN: (
        "string",
        "Where the row was read: `archive` (HBase) or `lake` (a night that is not archived yet).",
    ),
    SEPARATION_COLUMN: ("double", "Distance from the centre of a cone (degrees)."),
    "v:classification": ("string", "Class of the alert; see /api/v1/classes."),
    "v:constellation": ("string", "Constellation in which the alert is (IAU borders)."),
    "v:firstdate": ("string", "Date of the object's first detection (UTC, ISO)."),
    "v:g-r": ("double", "Colour of the point and the nearest one of the other band, at most 0.3 d away (mag)."),
    "v:jdstartgw": ("double", "Time of the gravitational-wave event that was asked for (JD, UTC)."),
    "v:lapse": ("double", "Days from the object's first detection to this alert."),
    "v:lastdate": ("string", "Date of the alert (UTC, ISO)."),
    "v:rate": ("double", "Change of magnitude since the point before in the same band (mag per day)."),
    "v:rate(g-r)": ("double", "Change of colour since the point before in the same band (mag per day)."),
    "v:sigma(g-r)": ("double", "Error of `v:g-r` (mag)."),
    "v:sigma(rate(g-r))": ("double", "Error of `v:rate(g-r)` (mag per day)."),
    "v:sigma(rate)": ("double", "Error of `v:rate` (mag per day)."),
}
_TAG_DOC = "`valid` (an alert), `upperlim` or `badquality`; only with `withupperlim`."


def schema(call: Call) -> dict[str, Any]:
    """Give names, types and meanings by family."""
    survey = call.stores.lake.survey
    rows = call.stores.empty_archive_rows(MAIN_TABLE)
    served = archive_table(survey, MAIN_TABLE).served
    groups: dict[str, dict[str, Any]] = {ORIGINAL: {}, CUTOUTS: {}, ADDED: {}, COMPUTED: {}}
    for column in served:
        family, _, name = column.name.partition(":")
        entry = {"type": _type(rows.schema.field(column.name).type), "doc": column_doc(column.name, survey)}
        groups[ORIGINAL if family == "i" else ADDED][name] = entry
    groups[ADDED][TAG.partition(":")[2]] = {"type": "string", "doc": _TAG_DOC}
    for kind in KINDS:
        doc = f"Pixels of the {kind.lower()} image: a list of rows; only with `withcutouts`."
        groups[CUTOUTS][image_column(kind).partition(":")[2]] = {"type": "array", "doc": doc}
    groups[COMPUTED] = {name.partition(":")[2]: {"type": kind, "doc": doc} for name, (kind, doc) in _COMPUTED.items()}
    return {title: dict(sorted(columns.items())) for title, columns in groups.items()}


def _type(kind: pa.DataType) -> str:
    """Name the type of a column as an answer has it; records and maps are text of JSON."""
    if pa.types.is_nested(kind) or pa.types.is_string(kind):
        return "string"
    words = {pa.float32(): "float", pa.float64(): "double", pa.int32(): "int", pa.int64(): "long"}
    return words.get(kind, "boolean" if pa.types.is_boolean(kind) else str(kind))


ENDPOINTS = (
    Endpoint(
        "/api/v1/schema",
        "Every column of an answer, its type and what it is",
        schema,
        example={ORIGINAL: {"magpsf": {"type": "float", "doc": "Magnitude from PSF-fit photometry [mag]"}}},
        compatible=True,
        methods=("GET",),
        described=False,
    ),
)
