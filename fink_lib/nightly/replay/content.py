"""Digests of what a night says, whatever wrote it and when.

A row's digest covers the columns of alert and science; arrival, offsets and process times are no part of it. The digest
of a night is the sum of its rows' digests, so the order of rows and files means nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.avro.encode import avro_schema, encode_rows
from fink_lib.lake.tables import PARTITION
from fink_lib.science.declarations import VERSIONS_COLUMN

if TYPE_CHECKING:
    from fink_lib.lake import Lake

BITS = 128
DIGEST_BYTES = BITS // 8
ROWS = 500
"""Rows that are held at once: an alert with its history is a few kilobytes."""

NOT_CONTENT = ("ingest", "process", PARTITION)
PLACES = ("topic", "partition", "offset", "batch")
SAID_BY = (VERSIONS_COLUMN, "finkclass_version")
"""Columns that say by what a row was computed, and nothing about its alert."""


@dataclass(frozen=True)
class Content:
    """What a table says of a night.

    Parameters
    ----------
    rows : int
        Number of rows.
    digest : str
        Of all of them (hex).
    """

    rows: int
    digest: str


def content_columns(lake: Lake, table: str) -> list[str]:
    """Name the columns of a table that are content."""
    leave_out = NOT_CONTENT + (PLACES if table == "rejected" else ())
    return [name for name in lake.schema(table).names if name not in leave_out]


def content_of(lake: Lake, table: str, night: str) -> Content:
    """Give number and digest of the rows of a night.

    Parameters
    ----------
    lake : Lake
        The live lake, or a shadow.
    table : str
        Name of the table.
    night : str
        ``YYYYMMDD``.
    """
    if table == "science":
        return prints_of(lake, night).content
    names = content_columns(lake, table)
    digests: list[bytes] = []
    for batch in lake.dataset(table, [night]).to_batches(columns=names, batch_size=ROWS, batch_readahead=1):
        digests.extend(row_digests(pa.Table.from_batches([batch])))
    return _content(lake, table, digests)


def _content(lake: Lake, table: str, digests: Sequence[bytes]) -> Content:
    """Add up the digests of rows; the columns and their types count too."""
    schema = pa.schema([lake.schema(table).field(name) for name in content_columns(lake, table)])
    total = sum(int.from_bytes(digest, "big") for digest in digests) % (1 << BITS)
    form = json.dumps(avro_schema(schema, table), sort_keys=True)
    return Content(len(digests), hashlib.sha256(f"{form}\n{len(digests)}\n{total:032x}".encode()).hexdigest())


def row_digests(rows: pa.Table) -> list[bytes]:
    """Give the first 16 bytes of the SHA-256 of each row, over all its columns."""
    if rows.num_rows == 0:
        return []
    return [hashlib.sha256(row).digest()[:DIGEST_BYTES] for row in encode_rows(rows.combine_chunks()).to_pylist()]


@dataclass(frozen=True)
class Prints:
    """What the science rows of a night say, alert by alert.

    Parameters
    ----------
    ids : ndarray of int64
        Rising.
    values, whole : ndarray of 16 bytes each
        Digest of what is said of the alert, and of that together with the versions that say it.
    content : Content
        Of the night.
    """

    ids: npt.NDArray[np.int64]
    values: npt.NDArray[np.void]
    whole: npt.NDArray[np.void]
    content: Content


def prints_of(lake: Lake, night: str) -> Prints:
    """Read a night of ``science`` once and keep 40 bytes of each alert."""
    names = content_columns(lake, "science")
    said = [name for name in names if name not in SAID_BY]
    ids: list[npt.NDArray[np.int64]] = []
    values: list[bytes] = []
    whole: list[bytes] = []
    batches = lake.dataset("science", [night]).to_batches(columns=names, batch_size=ROWS, batch_readahead=1)
    for batch in batches:
        if batch.num_rows == 0:
            continue
        rows = pa.Table.from_batches([batch])
        ids.append(rows.column(lake.survey.id_field).to_numpy())
        mine = row_digests(rows.select(said))
        values.extend(mine)
        by = row_digests(rows.select([name for name in SAID_BY if name in names]))
        whole.extend(hashlib.sha256(one + two).digest()[:DIGEST_BYTES] for one, two in zip(mine, by, strict=True))
    known = np.concatenate(ids) if ids else np.zeros(0, np.int64)
    order = np.argsort(known, kind="stable")
    return Prints(known[order], _packed(values)[order], _packed(whole)[order], _content(lake, "science", whole))


def _packed(digests: Sequence[bytes]) -> npt.NDArray[np.void]:
    return np.frombuffer(b"".join(digests), dtype=f"V{DIGEST_BYTES}")


def differing(one: pa.ChunkedArray, other: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """Tell in which rows two columns of one type differ; NaN is like NaN and null like null."""
    first, second = (column.combine_chunks() for column in (one, other))
    if first.equals(second):
        return np.zeros(len(first), dtype=bool)
    kind = first.type
    if pa.types.is_nested(kind):
        pairs = zip(row_digests(pa.table({"x": first})), row_digests(pa.table({"x": second})), strict=True)
        return np.array([a != b for a, b in pairs], dtype=bool)
    same = pc.fill_null(pc.equal(first, second), False)
    if pa.types.is_floating(kind):
        same = pc.or_(same, pc.fill_null(pc.and_(pc.is_nan(first), pc.is_nan(second)), False))
    same = pc.or_(same, pc.and_(pc.is_null(first), pc.is_null(second)))
    found: npt.NDArray[np.bool_] = ~same.to_numpy(zero_copy_only=False)
    return found
