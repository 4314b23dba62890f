"""The message of a pair: schemaless Avro with the schema in the key, as all topics of the broker; see ``packet.py``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from fink_lib.avro.encode import avro_schema, encode_rows
from fink_lib.science.multimessenger.coincidence import PAIRS
from fink_lib.streams.packet import (
    HEADER_ALERT_ID,
    HEADER_ALERT_TIME,
    HEADER_BATCH,
    HEADER_FILTER,
    HEADER_FILTER_VERSION,
    HEADER_NIGHT,
    HEADER_SCHEMA,
    ROOT_RECORD,
    SCHEMA_DIGITS,
)

FIELDS = PAIRS.append(pa.field("timestamp", pa.string()))
"""Fields of the root record: the pair, and the time of the alert (ISO, UTC)."""

KEY = json.dumps(avro_schema(FIELDS, ROOT_RECORD), separators=(",", ":")).encode()
SCHEMA_ID = hashlib.sha256(KEY).hexdigest()[:SCHEMA_DIGITS]
_JD_OF_UNIX = 2440587.5


def values_of(pairs: pa.Table) -> list[bytes]:
    """Give the value of the message of each pair.

    Parameters
    ----------
    pairs : pyarrow.Table
        At least the columns of a pair.
    """
    times = pa.array([alert_time(jd) for jd in pairs.column("jd").to_pylist()], pa.string())
    rows = pairs.select(PAIRS.names).append_column(FIELDS.field("timestamp"), times).cast(FIELDS)
    values: list[bytes] = encode_rows(rows).to_pylist()
    return values


def alert_time(jd: float) -> str:
    """Give a Julian date (UTC) as text, to the microsecond.

    >>> alert_time(2458729.6881481)
    '2019-09-03 04:30:55.995834'
    """
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=jd - _JD_OF_UNIX)
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")


def headers_of(pair: Mapping[str, Any], name: str, version: str, batch: str) -> list[tuple[str, bytes]]:
    """Give the headers of a message.

    Parameters
    ----------
    pair : mapping
        ``candid``, ``jd`` and ``night``.
    name, version : str
        Of the selection that takes it.
    batch : str
        Key of the batch that sends it.
    """
    texts = (
        (HEADER_ALERT_ID, str(pair["candid"])),
        (HEADER_FILTER, name),
        (HEADER_FILTER_VERSION, version),
        (HEADER_SCHEMA, SCHEMA_ID),
        (HEADER_ALERT_TIME, repr(pair["jd"])),
        (HEADER_NIGHT, pair["night"]),
        (HEADER_BATCH, batch),
    )
    return [(header, text.encode()) for header, text in texts]
