"""The tables of the lake: their columns, what one row is, and who writes them.

Every table is partitioned by ``night`` (``YYYYMMDD`` of the alert's own time). Columns that depend on the survey
(the alert itself, the Fink columns) come from the survey's file; everything else is declared here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from fink_lib.surveys.base import Survey

UTC_US = pa.timestamp("us", "UTC")
STRING_MAP = pa.map_(pa.string(), pa.string())
PARTITION = "night"

INGEST = pa.struct(
    [
        ("topic", pa.string()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("kafka_time", UTC_US),
        ("wire_format", pa.string()),
        ("schema_version", pa.string()),
        ("sha256", pa.string()),
        ("ingested", UTC_US),
        ("batch", pa.string()),
    ]
)
"""Where a row of ``raw`` came from; ``batch`` is the stream2raw batch id, which also finds its cutouts."""

PROCESS = pa.struct(
    [
        ("started", UTC_US),
        ("ended", UTC_US),
        ("batch", pa.string()),
        ("broker_version", pa.string()),
        ("science_version", pa.string()),
    ]
)
"""When and by which version a row of ``science`` was made; not part of the content hash."""

FIELD_SEEN = pa.struct(
    [
        ("field", pa.int64()),
        ("band", pa.string()),
        ("exposures", pa.int64()),
        ("alerts", pa.int64()),
        ("depth_mag", pa.float64()),
    ]
)
"""What a night has of one field in one band; ``depth_mag`` is the median limiting magnitude."""

SKY_PIXEL = pa.struct([("pixel", pa.int64()), ("band", pa.string()), ("exposures", pa.int64()), ("alerts", pa.int64())])
"""What a night has of one HEALPix pixel (order 5, nested, ICRS) in one band."""

_NIGHT = pa.field(PARTITION, pa.string())

_SHARED: dict[str, pa.Schema] = {
    "cutouts": pa.schema(
        [
            ("alert_id", pa.int64()),
            ("batch", pa.string()),
            ("science", pa.binary()),
            ("template", pa.binary()),
            ("difference", pa.binary()),
            _NIGHT,
        ]
    ),
    "quarantine": pa.schema(
        [
            ("survey", pa.string()),
            ("topic", pa.string()),
            ("partition", pa.int32()),
            ("offset", pa.int64()),
            ("kafka_timestamp", UTC_US),
            ("key", pa.binary()),
            ("headers", STRING_MAP),
            ("wire_format", pa.string()),
            ("schema_id", pa.string()),
            ("reason", pa.string()),
            ("detail", pa.string()),
            ("sha256", pa.string()),
            ("payload", pa.binary()),
            ("batch", pa.string()),
            _NIGHT,
        ]
    ),
    "rejected": pa.schema(
        [
            ("alert_id", pa.int64()),
            ("topic", pa.string()),
            ("partition", pa.int32()),
            ("offset", pa.int64()),
            ("reason", pa.string()),
            ("batch", pa.string()),
            _NIGHT,
        ]
    ),
    "gcn": pa.schema(
        [
            ("observatory", pa.string()),
            ("instrument", pa.string()),
            ("event", pa.string()),
            ("ivorn", pa.string()),
            ("triggerId", pa.string()),
            ("ra", pa.float64()),
            ("dec", pa.float64()),
            ("err_arcmin", pa.float64()),
            ("area_sr", pa.float64()),
            ("triggerTimejd", pa.float64()),
            ("triggerTimeUTC", UTC_US),
            ("gcn_status", pa.string()),
            ("region", pa.list_(pa.int64())),
            ("reason", pa.string()),
            ("detail", pa.string()),
            ("topic", pa.string()),
            ("partition", pa.int32()),
            ("offset", pa.int64()),
            ("kafka_timestamp", UTC_US),
            ("ackTime", UTC_US),
            ("raw_event", pa.binary()),
            _NIGHT,
        ]
    ),
    "reclassified": pa.schema(
        [
            ("alert_id", pa.int64()),
            ("tracklet", pa.string()),
            ("column", pa.string()),
            ("before", pa.string()),
            ("after", pa.string()),
            ("version", pa.string()),
            _NIGHT,
        ]
    ),
    "sent": pa.schema(
        [
            ("alert_id", pa.int64()),
            ("filter", pa.string()),
            ("filter_version", pa.string()),
            ("topic", pa.string()),
            ("partition", pa.int32()),
            ("offset", pa.int64()),
            ("sent_time", UTC_US),
            ("late", pa.bool_()),
            ("batch", pa.string()),
            _NIGHT,
        ]
    ),
    "healed": pa.schema(
        [
            ("alert_id", pa.int64()),
            ("number", pa.int64()),
            ("modules", pa.list_(pa.string())),
            ("enters", pa.list_(pa.string())),
            ("time", UTC_US),
            _NIGHT,
        ]
    ),
    "ledger": pa.schema(
        [
            ("stage", pa.string()),
            ("batch", pa.string()),
            ("generation", pa.int32()),
            ("batch_id", pa.int64()),
            ("epoch", pa.int64()),
            ("received", pa.int64()),
            ("produced", pa.int64()),
            ("quarantined", pa.int64()),
            ("rejected", pa.int64()),
            ("duplicates", pa.int64()),
            ("sent", pa.int64()),
            ("details", pa.string()),
            ("seconds", pa.float64()),
            ("finished", UTC_US),
            ("code_version", pa.string()),
            _NIGHT,
        ]
    ),
    "nights": pa.schema(
        [
            ("state", pa.string()),
            ("time", UTC_US),
            ("stage", pa.string()),
            ("by", pa.string()),
            ("reason", pa.string()),
            _NIGHT,
        ]
    ),
    "decisions": pa.schema(
        [
            ("decision", pa.string()),
            ("stage", pa.string()),
            ("rules", pa.list_(pa.string())),
            ("by", pa.string()),
            ("reason", pa.string()),
            ("time", UTC_US),
            _NIGHT,
        ]
    ),
    "quality": pa.schema(
        [
            ("suite", pa.string()),
            ("name", pa.string()),
            ("value", pa.float64()),
            ("severity", pa.string()),
            ("outcome", pa.string()),
            ("text", pa.string()),
            ("computed", UTC_US),
            _NIGHT,
        ]
    ),
    "night_summary": pa.schema(
        [
            ("basic", pa.map_(pa.string(), pa.int64())),
            ("class", pa.map_(pa.string(), pa.int64())),
            ("filters", pa.map_(pa.string(), pa.int64())),
            ("versions", STRING_MAP),
            ("quality", pa.map_(pa.string(), pa.int64())),
            ("ledger", pa.map_(pa.string(), pa.int64())),
            ("latency", pa.map_(pa.string(), pa.float64())),
            ("fields", pa.list_(FIELD_SEEN)),
            ("coverage", pa.list_(SKY_PIXEL)),
            ("computed", UTC_US),
            _NIGHT,
        ]
    ),
}

TABLES = (
    "raw",
    "cutouts",
    "quarantine",
    "science",
    "rejected",
    "reclassified",
    "healed",
    "gcn",
    "sent",
    "ledger",
    "nights",
    "decisions",
    "quality",
    "night_summary",
)
"""Every table of a survey's lake."""

WIDENED = ("night_summary",)
"""Tables that no stream reads, so that columns may be added to one that an older version has made."""

STATS_COLUMNS = ("candid", "diaSourceId", "alert_id", "offset", "batch", "batch_id")
"""Columns whose least and greatest value are kept per file, so that a reader can skip files."""


def table_schema(table: str, survey: Survey) -> pa.Schema:
    """Give the columns of one table.

    Parameters
    ----------
    table : str
        One of :data:`TABLES`.
    survey : Survey
        The survey whose alerts the table holds.

    Returns
    -------
    pyarrow.Schema
        ``night`` is the last column.
    """
    if table == "raw":
        return pa.schema([*survey.alert_schema, pa.field("ingest", INGEST), _NIGHT])
    if table == "science":
        return pa.schema(
            [
                *survey.alert_schema,
                *survey.fink_schema,
                pa.field("ingest", INGEST),
                pa.field("process", PROCESS),
                _NIGHT,
            ]
        )
    return _SHARED[table]
