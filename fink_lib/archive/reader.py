"""Reading archived rows back, as columns with their own types.

Rows are found by key: exact ones, all that begin with some values, or a range of the part that follows them, oldest or
newest first. Where keys begin with a salt, all salts are read and merged. Where rows point to the main table, the
columns that they do not have themselves are fetched from there.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.archive.codec import ID_BYTES, Layout
from fink_lib.archive.registry import find_layout
from fink_lib.archive.rows import keys_of, serve, stored_for
from fink_lib.archive.sky import cone_ranges, pixel_ranges
from fink_lib.archive.tables import FAMILY, PACKED, archive_table

if TYPE_CHECKING:
    from fink_lib.archive.hbase import HBase
    from fink_lib.surveys.base import Survey

CHUNK_ROWS = 500
NEWEST_CELL = "FirstKeyOnlyFilter()"
Found = tuple[bytes, dict[bytes, bytes]]
"""A key and its cells."""


class ArchiveReader:
    """Reads one table; remembers the layouts it has met.

    Parameters
    ----------
    hbase : HBase
        The connection, used by this reader's thread only.
    survey : Survey
        Whose archive.
    table : str
        Name of the table.
    """

    def __init__(self, hbase: HBase, survey: Survey, table: str) -> None:
        self.table = archive_table(survey, table)
        self._hbase = hbase
        current = self.table.layout(survey)
        self._current = current
        self._layouts: dict[bytes, Layout] = {current.schema_id: current}
        self._main = ArchiveReader(hbase, survey, self.table.main) if self.table.main else None
        own = {column.name for column in self.table.stored}
        self._own = frozenset(served.name for served in self.table.served if served.stored in own)

    def by_prefix(self, *values: object, columns: Collection[str] | None = None) -> pa.Table:
        """Read the rows whose key begins with exactly these parts (an object's name, for one), in key order."""
        return self.table_of(self.find(*values), columns)

    def by_keys(self, keys: Sequence[bytes], columns: Collection[str] | None = None) -> pa.Table:
        """Read rows by key, in the order of `keys`; keys without a row are left out."""
        found = self._hbase.rows(self.table.name, keys, [PACKED])
        return self.decode([found[key][0][PACKED] for key in keys if key in found], columns)

    def read(
        self,
        *values: Any,
        low: Any = None,
        high: Any = None,
        begins: str = "",
        newest_first: bool = False,
        columns: Collection[str] | None = None,
        chunk: int = CHUNK_ROWS,
    ) -> Iterator[pa.Table]:
        """Read rows chunk by chunk, so that a caller who filters may stop when it has enough.

        Parameters
        ----------
        *values : object
            Values of the first parts of the key, without the salt.
        low, high : object, optional
            Bounds of the part that follows: `low` included, `high` not.
        begins : str
            How the part that follows begins, for names.
        newest_first : bool
            Against the order of the keys.
        columns : collection of str, optional
            Served columns to give; all without.
        chunk : int
            Rows in a chunk, but for the last.
        """
        found = self.find(*values, low=low, high=high, begins=begins, newest_first=newest_first, chunk=chunk)
        while part := list(islice(found, chunk)):
            yield self.table_of(iter(part), columns)

    def find(
        self,
        *values: Any,
        low: Any = None,
        high: Any = None,
        begins: str = "",
        newest_first: bool = False,
        chunk: int = CHUNK_ROWS,
    ) -> Iterator[Found]:
        """Find rows as :meth:`read` does, and give keys and cells as they are."""
        ranges = self.table.key.ranges(*values, low=low, high=high, begins=begins)
        columns = None if self.table.stacked else [PACKED]
        scans = [
            self._hbase.scan(self.table.name, start, stop, columns, newest_first=newest_first, batch_rows=chunk)
            for start, stop in ranges
        ]
        if len(scans) == 1:
            return scans[0]
        order = self.table.key.order
        merged: Iterator[Found] = heapq.merge(*scans, key=lambda row: order(row[0]), reverse=newest_first)
        return merged

    def in_cone(
        self,
        ra_deg: float,
        dec_deg: float,
        radius_deg: float,
        columns: Collection[str] | None = None,
        all_alerts: bool = False,
    ) -> Iterator[pa.Table]:
        """Read the objects of a cone, and those of a margin around it: the caller cuts.

        Parameters
        ----------
        ra_deg, dec_deg, radius_deg : float
            The cone.
        columns : collection of str, optional
            Served columns to give; all without.
        all_alerts : bool
            Every alert of each object instead of its newest.
        """
        return self._in_ranges(cone_ranges(ra_deg, dec_deg, radius_deg), columns, all_alerts)

    def in_pixels(
        self, pixels: Sequence[int], columns: Collection[str] | None = None, all_alerts: bool = False
    ) -> Iterator[pa.Table]:
        """Read the objects of whole pixels (RING, nside 128); see :meth:`in_cone`."""
        return self._in_ranges(pixel_ranges(pixels), columns, all_alerts)

    def _in_ranges(
        self,
        ranges: Sequence[tuple[tuple[int, int], tuple[int, int]]],
        columns: Collection[str] | None,
        all_alerts: bool,
    ) -> Iterator[pa.Table]:
        parts = self.table.key.parts[:2]

        def find(bounds: tuple[tuple[int, int], tuple[int, int]]) -> Iterator[Found]:
            start, stop = (
                "_".join(part.format(value) for part, value in zip(parts, bound, strict=True)).encode()
                for bound in bounds
            )
            only = None if all_alerts else NEWEST_CELL
            return self._hbase.scan(self.table.name, start, stop, [FAMILY.encode()], filter_string=only)

        found = chain.from_iterable(map(find, ranges))  # a range of its own holds few rows
        while part := list(islice(found, CHUNK_ROWS)):
            yield self.table_of(iter(part), columns)

    def table_of(self, found: Iterator[Found], columns: Collection[str] | None = None) -> pa.Table:
        """Unpack rows that :meth:`find` gave."""
        if self.table.stacked:
            return self.decode([cell for _, cells in found for _, cell in sorted(cells.items())], columns)
        return self.decode([cells[PACKED] for _, cells in found], columns)

    def decode(self, packed: Sequence[bytes], columns: Collection[str] | None = None) -> pa.Table:
        """Unpack cells, which may be of several layouts, into served columns.

        Parameters
        ----------
        packed : sequence of bytes
            Values of the packed cell.
        columns : collection of str, optional
            Served columns to give; all without.
        """
        if self._main is not None:
            wanted = {served.name for served in self.table.served}
            wanted = wanted if columns is None else wanted & set(columns)
            if not wanted <= self._own:
                stored = self._stored(packed, set(self._main.table.key.columns))
                keys = keys_of(self._main.table, {name: stored.column(name) for name in stored.column_names})
                return self._main.by_keys(keys, wanted)
        stored = self._stored(packed, stored_for(self.table, columns))
        served = serve(self.table, stored, columns)
        return _entries(served) if self.table.points else served

    def _stored(self, packed: Sequence[bytes], wanted: Collection[str] | None) -> pa.Table:
        places: dict[bytes, list[int]] = {}
        for place, cell in enumerate(packed):
            places.setdefault(cell[:ID_BYTES], []).append(place)
        if not places:
            return self._current.decode([], wanted)
        parts, order = [], []
        for schema_id, members in places.items():
            parts.append(self._layout(schema_id).decode([packed[place] for place in members], wanted))
            order += members
        if len(parts) == 1:
            return parts[0]
        rank = sorted(range(len(order)), key=order.__getitem__)
        return pa.concat_tables(parts, promote_options="permissive").take(rank)

    def _layout(self, schema_id: bytes) -> Layout:
        if schema_id not in self._layouts:
            self._layouts[schema_id] = find_layout(self._hbase, self.table.name, schema_id)
        return self._layouts[schema_id]


def _entries(served: pa.Table) -> pa.Table:
    """Give a row for each entry of the lists; columns that are no lists are repeated."""
    lists = [name for name in served.column_names if pa.types.is_list(served.schema.field(name).type)]
    if not lists:
        return served
    parents = pc.list_parent_indices(served.column(lists[0]))
    columns = {
        name: pc.list_flatten(served.column(name)) if name in lists else served.column(name).take(parents)
        for name in served.column_names
    }
    return pa.table(columns)
