"""Rows of the lake become rows of an HBase table, and cells become columns again.

Everything here is a pure function of its input: the same alert gives the same key, cells and timestamp whenever and
wherever it is written, which is what makes a repeated archive harmless and a row-by-row check possible.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.archive.cells import encode_cells
from fink_lib.archive.codec import Layout
from fink_lib.archive.tables import DAY_MS, PACKED, UNIX_EPOCH_JD, ArchiveTable

DIGEST_BITS = 128


@dataclass(frozen=True)
class Row:
    """One row as HBase holds it.

    Parameters
    ----------
    key : bytes
        Row key.
    cells : dict of bytes to bytes
        ``family:qualifier`` to value.
    timestamp_ms : int
        Time of all its cells: the alert's own, plus the generation of the night.
    """

    key: bytes
    cells: dict[bytes, bytes]
    timestamp_ms: int

    @property
    def digest(self) -> int:
        """Digest of key, cells and timestamp; digests of many rows are added up, in any order."""
        return row_digest(self.key, self.cells, self.timestamp_ms)


def row_digest(key: bytes, cells: dict[bytes, bytes], timestamp_ms: int) -> int:
    """Give the first 128 bits of the SHA-256 of one row."""
    digest = hashlib.sha256(b"%d:%s%d" % (len(key), key, timestamp_ms))
    for name in sorted(cells):
        digest.update(b"%d:%s%d:" % (len(name), name, len(cells[name])))
        digest.update(cells[name])
    return int.from_bytes(digest.digest()[: DIGEST_BITS // 8], "big")


def add_digests(digests: Collection[int]) -> int:
    """Add up digests of rows."""
    return sum(digests) % (1 << DIGEST_BITS)


def pack(table: ArchiveTable, layout: Layout, science: pa.Table, generation: int = 0) -> list[Row]:
    """Turn rows of ``science`` into rows of an archive table.

    Parameters
    ----------
    table : ArchiveTable
        The declaration.
    layout : Layout
        Of that table for this survey.
    science : pyarrow.Table
        With the columns of ``table.lake_columns``.
    generation : int
        How often the night was remade; part of the cell timestamp.

    Raises
    ------
    DataError
        If an alert's name, time or id has no place in a row key.
    """
    columns = {column.name: _at(science, column.path) for column in table.stored}
    packed = layout.encode(pa.table(columns))
    key_values = zip(*(columns[name].to_pylist() for name in table.key.columns), strict=True)
    keys = [table.key.format(values) for values in key_values]
    stamps = timestamps_ms(columns[table.time], generation)
    rows = [Row(key, {PACKED: cell}, stamp) for key, cell, stamp in zip(keys, packed, stamps, strict=True)]
    for name in table.hot:
        qualifier = name.encode()
        for row, cell in zip(rows, encode_cells(columns[name]), strict=True):
            if cell is not None:
                row.cells[qualifier] = cell
    return rows


def timestamps_ms(jd: pa.Array, generation: int) -> list[int]:
    """Give cell timestamps for Julian dates (UTC, days), ms since 1970."""
    days = np.asarray(jd.to_numpy(zero_copy_only=False)) - UNIX_EPOCH_JD
    stamps: list[int] = (np.rint(days * DAY_MS).astype(np.int64) + generation).tolist()
    return stamps


def serve(table: ArchiveTable, stored: pa.Table, columns: Collection[str] | None = None) -> pa.Table:
    """Turn decoded packed cells into the columns that readers see.

    Parameters
    ----------
    table : ArchiveTable
        The declaration.
    stored : pyarrow.Table
        What :meth:`Layout.decode` gave; a column that an older layout lacks comes out null.
    columns : collection of str, optional
        Served columns to give; all without.
    """
    names, arrays = [], []
    for served in table.served:
        if columns is not None and served.name not in columns:
            continue
        if served.stored in stored.column_names:
            column = stored.column(served.stored)
            if served.key is not None:
                column = pc.map_lookup(column, query_key=served.key, occurrence="first")
        else:
            column = pa.nulls(stored.num_rows)
        names.append(served.name)
        arrays.append(column)
    return pa.table(arrays, names=names)


def stored_for(table: ArchiveTable, columns: Collection[str] | None) -> set[str] | None:
    """Name the stored columns that some served columns need; None means all."""
    if columns is None:
        return None
    return {served.stored for served in table.served if served.name in columns}


def _at(science: pa.Table, path: Sequence[str]) -> pa.Array:
    column = science.column(path[0])
    values = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    for name in path[1:]:
        values = pc.struct_field(values, name)  # a field of a null struct comes out null
    return values
