"""Rows of the lake become rows of an HBase table, and cells become columns again.

Everything here is a pure function of its input: the same alert gives the same key, cells and timestamp whenever and
wherever it is written, which is what makes a repeated archive harmless and a row-by-row check possible.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.archive.codec import Layout
from fink_lib.archive.derived import at
from fink_lib.archive.keys import SEPARATOR
from fink_lib.archive.tables import DAY_MS, FAMILY, PACKED, UNIX_EPOCH_JD, ArchiveTable

DIGEST_BITS = 128
LAST_MS = 10**14 - 1
"""The year 5138; times are counted back from there where the newest has to come first."""


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


def pack(
    table: ArchiveTable,
    layout: Layout,
    science: pa.Table,
    generation: int = 0,
    chosen: Mapping[str, pa.Array] | None = None,
) -> list[Row]:
    """Turn rows of ``science`` into rows of an archive table.

    Parameters
    ----------
    table : ArchiveTable
        The declaration.
    layout : Layout
        Of that table for this survey.
    science : pyarrow.Table
        With at least the fields of ``table.lake_paths``.
    generation : int
        How often the night was remade; part of the cell timestamp.
    chosen : mapping of str to pyarrow.Array, optional
        Ids of the alerts that each filter of the night chooses.

    Returns
    -------
    list of Row
        Of the alerts that belong into the table.

    Raises
    ------
    DataError
        If an alert's name, time or id has no place in a row key.
    """
    columns = columns_of(table, select(table, science, chosen))
    times = columns[table.time]
    stamps = timestamps_ms(times, 0)
    cells: Sequence[bytes] = [PACKED] * len(stamps)
    if table.stacked:
        cells = [
            stacked_cell(stamp, candid) for stamp, candid in zip(stamps, columns["i:candid"].to_pylist(), strict=True)
        ]
    return [
        Row(key, {cell: packed}, stamp + generation)
        for key, cell, packed, stamp in zip(
            keys_of(table, columns), cells, packed_of(table, layout, columns), stamps, strict=True
        )
    ]


def pack_given(table: ArchiveTable, layout: Layout, given: pa.Table, timestamp_ms: int) -> list[Row]:
    """Turn rows that are not of a night (a catalogue's, a user's) into rows of an archive table.

    Parameters
    ----------
    table : ArchiveTable
        A declaration without a time.
    layout : Layout
        Of that table.
    given : pyarrow.Table
        Columns under their stored names, and those that only the key needs under the last part of theirs.
    timestamp_ms : int
        Time of the cells: that of the catalogue, or of the user's request.
    """
    columns = columns_of(table, given)
    packed = packed_of(table, layout, columns)
    return [Row(key, {PACKED: cell}, timestamp_ms) for key, cell in zip(keys_of(table, columns), packed, strict=True)]


def select(table: ArchiveTable, science: pa.Table, chosen: Mapping[str, pa.Array] | None = None) -> pa.Table:
    """Prepare rows of ``science`` for a table and leave out those that do not belong into it."""
    roots = dict.fromkeys(path.partition(".")[0] for path in table.lake_paths)
    rows = science.select([name for name in roots if name in science.column_names])
    if table.filters:
        ids = pa.concat_arrays([(chosen or {}).get(name, pa.array([], pa.int64())) for name in table.filters])
        rows = rows.filter(pc.is_in(rows.column("candid"), ids))
    if table.prepare is not None:
        rows = table.prepare(rows)
    return rows if table.selection is None else rows.filter(table.selection)


def columns_of(table: ArchiveTable, rows: pa.Table) -> dict[str, pa.Array]:
    """Give the stored and extra columns of selected rows under their names."""
    columns = {}
    for column in (*table.stored, *table.extra):
        values = at(rows, column.path)
        columns[column.name] = values if column.kind is None or values.type == column.kind else values.cast(column.kind)
    return columns


def packed_of(table: ArchiveTable, layout: Layout, columns: Mapping[str, pa.Array]) -> list[bytes]:
    """Give the packed cells."""
    return layout.encode(pa.table({column.name: columns[column.name] for column in table.stored}))


def keys_of(table: ArchiveTable, columns: Mapping[str, pa.Array]) -> list[bytes]:
    """Give the row keys."""
    lists = {name: columns[name].to_pylist() for name in dict.fromkeys(table.key.columns)}
    pieces = [[part.format(value) for value in lists[part.column]] for part in table.key.parts]
    return [SEPARATOR.join(texts).encode() for texts in zip(*pieces, strict=True)]


def stacked_cell(timestamp_ms: int, candid: int) -> bytes:
    """Name the cell of an alert in the row of its object, so that the newest comes first."""
    return b"%s:%014d_%019d" % (FAMILY.encode(), LAST_MS - timestamp_ms, candid)


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
    present = dict(zip(stored.column_names, stored.columns, strict=True))  # Arrow makes both anew each time
    for served in table.served:
        if columns is not None and served.name not in columns:
            continue
        column = present.get(served.stored)
        if column is not None:
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
