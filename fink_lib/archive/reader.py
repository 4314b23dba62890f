"""Reading archived alerts back, as columns with their own types."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from fink_lib.archive.codec import ID_BYTES, Layout
from fink_lib.archive.registry import find_layout
from fink_lib.archive.rows import serve, stored_for
from fink_lib.archive.tables import PACKED, archive_table

if TYPE_CHECKING:
    from fink_lib.archive.hbase import HBase
    from fink_lib.surveys.base import Survey


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

    def by_prefix(self, *values: object, columns: Collection[str] | None = None) -> pa.Table:
        """Read the rows whose key begins with exactly these parts (an object's name, for one), in key order."""
        found = self._hbase.scan_prefix(self.table.name, self.table.key.prefix(*values), [PACKED])
        return self.decode([cells[PACKED] for _, cells in found], columns)

    def by_keys(self, keys: Sequence[bytes], columns: Collection[str] | None = None) -> pa.Table:
        """Read rows by key, in the order of `keys`; keys without a row are left out."""
        found = self._hbase.rows(self.table.name, keys, [PACKED])
        return self.decode([found[key][0][PACKED] for key in keys if key in found], columns)

    def decode(self, packed: Sequence[bytes], columns: Collection[str] | None = None) -> pa.Table:
        """Unpack cells, which may be of several layouts, into served columns.

        Parameters
        ----------
        packed : sequence of bytes
            Values of the packed cell.
        columns : collection of str, optional
            Served columns to give; all without.
        """
        wanted = stored_for(self.table, columns)
        places: dict[bytes, list[int]] = {}
        for place, cell in enumerate(packed):
            places.setdefault(cell[:ID_BYTES], []).append(place)
        if not places:
            return serve(self.table, self._current.decode([], wanted), columns)
        parts, order = [], []
        for schema_id, members in places.items():
            stored = self._layout(schema_id).decode([packed[place] for place in members], wanted)
            parts.append(serve(self.table, stored, columns))
            order += members
        if len(parts) == 1:
            return parts[0]
        rank = sorted(range(len(order)), key=order.__getitem__)
        return pa.concat_tables(parts, promote_options="permissive").take(rank)

    def _layout(self, schema_id: bytes) -> Layout:
        if schema_id not in self._layouts:
            self._layouts[schema_id] = find_layout(self._hbase, self.table.name, schema_id)
        return self._layouts[schema_id]
