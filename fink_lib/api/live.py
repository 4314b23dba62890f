"""Alerts of nights that are not archived yet, found in the lake by what the API selects on.

A night grows by a small file per batch, and nothing in the lake is sorted by object, place or class. The reader keeps a
few columns of each alert in memory, some 150 bytes an alert, finds rows there and then reads these rows only, and only
the columns that are wanted. It follows the table's log, so a file is looked at once in its life.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from pyarrow.fs import FileSystem, LocalFileSystem

from fink_lib.api.blocks import Block, together
from fink_lib.api.packed_rows import PackedRows
from fink_lib.api.row_groups import RowGroups
from fink_lib.archive.codec import Layout
from fink_lib.archive.tables import Stored
from fink_lib.lake import Lake
from fink_lib.lake.tables import PARTITION

REFRESH_S = 1.0
MOST_PACKED = 500
"""Up to so many rows are read one by one; of more, column by column."""
MOST_BLOCKS = 64
"""Files are taken up one by one; when there are more pieces than this, they are put together."""

NIGHT = "night"
INDEX = (
    "i:objectId",
    "i:candid",
    "i:jd",
    "i:jdstarthist",
    "i:ra",
    "i:dec",
    "i:ssnamenr",
    "d:roid",
    "d:tns",
    "d:tracklet",
    "d:finkclass",
    "d:mag_rate",
)
"""Columns that are kept in memory, and :data:`NIGHT`."""

Ints = npt.NDArray[np.int64]
Path = tuple[str, ...]
Shape = Callable[[pa.Table], pa.Table]
Within = Callable[[Block], Ints]
Result = TypeVar("Result")
Choice = Callable[[pa.Table], Ints]
"""Takes the index of all alerts and gives the numbers of the rows that are wanted, in the order of the answer."""


@dataclass
class LiveAlerts:
    """Rows of table ``science``, for nights of one's choice.

    Parameters
    ----------
    lake : Lake
        The survey's lake.
    stored : sequence of Stored
        Every column of an alert by its API name, and where ``science`` has it.
    """

    lake: Lake
    stored: Sequence[Stored]
    _blocks: list[Block] = field(default_factory=list, init=False)
    _table: DeltaTable | None = field(default=None, init=False)
    _seen: float = field(default=float("-inf"), init=False)
    _without: frozenset[str] = field(default=frozenset(), init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _groups: RowGroups = field(default_factory=RowGroups, init=False)
    _group_ends: dict[str, Ints] = field(default_factory=dict, init=False)

    def find(
        self,
        choose: Choice,
        columns: Collection[str] | None,
        without: Collection[str] = (),
        within: Within | None = None,
    ) -> pa.Table:
        """Read some alerts.

        Parameters
        ----------
        choose : callable
            Which: from the index to row numbers; called again if files go away meanwhile.
        columns : collection of str, optional
            Stored columns; all without.
        without : collection of str
            Nights that are not searched: those that are archived.
        within : callable, optional
            Rows of a block among which the wanted ones are; the choice then sees only those.

        Returns
        -------
        pyarrow.Table
            Those columns, rows in the order of the choice; no columns if there are no rows.
        """
        stored = [column for column in self.stored if columns is None or column.name in columns]

        def shape(rows: pa.Table) -> pa.Table:
            # nothing has no columns: whoever asks knows them without it
            return self._columns(rows, stored) if rows.num_rows else rows.select([])

        def read(blocks: list[Block], rows: Ints) -> pa.Table:
            if len(rows) > MOST_PACKED:
                return self._read(blocks, rows, [column.path for column in stored], shape)
            found = self._packed.layout.decode(self._cells(blocks, rows), {column.name for column in stored})
            return found if found.num_rows else found.select([])

        return self._find(choose, without, within, read)

    def packed(self, choose: Choice, without: Collection[str] = (), within: Within | None = None) -> list[bytes]:
        """Give some whole alerts as the archive packs them.

        Parameters
        ----------
        choose, without, within
            See :meth:`find`.
        """
        return self._find(choose, without, within, self._cells)

    def science(
        self, choose: Choice, paths: Sequence[Path], without: Collection[str] = (), within: Within | None = None
    ) -> pa.Table:
        """Read some alerts as ``science`` has them, as far as some fields go.

        Parameters
        ----------
        choose, without, within
            See :meth:`find`.
        paths : sequence of tuple of str
            Columns, or fields inside records and lists of records.
        """
        return self._find(
            choose, without, within, lambda blocks, rows: self._read(blocks, rows, paths, lambda one: one)
        )

    def _find(
        self,
        choose: Choice,
        without: Collection[str],
        within: Within | None,
        read: Callable[[list[Block], Ints], Result],
    ) -> Result:
        for last_try in (False, True):
            blocks = self.blocks(without, at_once=last_try)
            rows = self._chosen(blocks, choose, within)
            try:
                return read(blocks, rows)
            except FileNotFoundError:  # compacted and cleaned up between the two steps
                if last_try:
                    raise
        raise AssertionError("unreachable")

    def _chosen(self, blocks: list[Block], choose: Choice, within: Within | None) -> Ints:
        """Give the numbers of the rows that are wanted, counted over all blocks."""
        if within is None:
            return choose(pa.concat_tables([self._none, *(block.rows for block in blocks)]))
        parts, numbers, begin = [self._none], [np.empty(0, np.int64)], 0
        for block in blocks:
            rows = within(block)
            if len(rows):
                parts.append(block.rows.take(pa.array(rows)))
                numbers.append(begin + rows)
            begin += block.rows.num_rows
        chosen: Ints = np.concatenate(numbers)[choose(pa.concat_tables(parts))]
        return chosen

    def blocks(self, without: Collection[str] = (), at_once: bool = False) -> list[Block]:
        """Give the index as it is now, at most :data:`REFRESH_S` old."""
        with self._lock:
            self._follow(frozenset(without), at_once)
            return list(self._blocks)

    def _follow(self, without: frozenset[str], at_once: bool) -> None:
        now = time.monotonic()
        if not at_once and without == self._without and now - self._seen < REFRESH_S:
            return
        if self._table is None:
            self._table = self.lake.table("science")
        else:
            self._table.update_incremental()
        actions = pa.table(self._table.get_add_actions(flatten=True))
        listed = dict(zip(*(actions.column(c).to_pylist() for c in ("path", f"partition.{PARTITION}")), strict=True))
        current = {path for path, night in listed.items() if night not in without}
        blocks = [kept for block in self._blocks if (kept := block.only(current)).paths]
        known = {path for block in blocks for path in block.paths}
        for path in sorted(current - known):
            rows = self._index(path, listed[path])
            blocks.append(Block((path,), (rows.num_rows,), rows))
        self._packed.keep(current)
        self._group_ends = {path: ends for path, ends in self._group_ends.items() if path in current}
        self._blocks = blocks if len(blocks) <= MOST_BLOCKS else [together(blocks)]
        self._without, self._seen = without, now

    def _index(self, path: str, night: str) -> pa.Table:
        """Read what is kept of a file."""
        columns = [column for column in self.stored if column.name in INDEX]
        with self._open(path) as parquet:
            lengths = [parquet.metadata.row_group(group).num_rows for group in range(parquet.num_row_groups)]
            self._group_ends[path] = np.cumsum(lengths, dtype=np.int64)
            rows = parquet.read(columns=list(_leaves(parquet, [column.path for column in columns])))
        kept = self._columns(rows, columns)
        return kept.select(INDEX).append_column(NIGHT, pa.array([night] * rows.num_rows, pa.string())).combine_chunks()

    def _read(self, blocks: list[Block], rows: Ints, paths: Sequence[Path], shape: Shape) -> pa.Table:
        names = [path for block in blocks for path in block.paths]
        ends = np.cumsum([length for block in blocks for length in block.lengths], dtype=np.int64)
        if not len(rows):
            return shape(self.lake.schema("science").empty_table())
        files = np.searchsorted(ends, rows, side="right")
        starts = np.concatenate(([0], ends[:-1]))
        parts, places = [], []
        for file in np.unique(files).tolist():
            mine = np.flatnonzero(files == file)
            places.append(mine)
            parts.append(self._rows(names[file], rows[mine] - starts[file], paths))
        if all(part.schema == parts[0].schema for part in parts):
            parts = [shape(pa.concat_tables(parts).combine_chunks())]  # once is quicker
        else:
            parts = [shape(part) for part in parts]
        return _in_order(parts, places).combine_chunks()

    def _rows(self, path: str, rows: Ints, paths: Sequence[Path]) -> pa.Table:
        """Read some rows of a file, in the given order, from the parts of the file that hold one."""
        with self._open(path) as parquet:
            lengths = [parquet.metadata.row_group(group).num_rows for group in range(parquet.num_row_groups)]
            ends = np.cumsum(lengths)
            groups = np.searchsorted(ends, rows, side="right")
            leaves = _leaves(parquet, paths)
            parts, places = [], []
            for group in np.unique(groups).tolist():
                mine = np.flatnonzero(groups == group)
                places.append(mine)
                read = self._groups.get((path, group, leaves), partial(parquet.read_row_group, group, list(leaves)))
                parts.append(read.take(pa.array(rows[mine] - (ends[group] - lengths[group]))))
            return _in_order(parts, places)

    def _cells(self, blocks: list[Block], rows: Ints) -> list[bytes]:
        """Give whole rows, packed, in their order."""
        names = [path for block in blocks for path in block.paths]
        ends = np.cumsum([length for block in blocks for length in block.lengths], dtype=np.int64)
        found: list[bytes] = [b""] * len(rows)
        files = np.searchsorted(ends, rows, side="right")
        for file in np.unique(files).tolist():
            mine = np.flatnonzero(files == file)
            path, inside = names[file], rows[mine] - (ends[file - 1] if file else 0)
            group_ends = self._group_ends.get(path)
            if group_ends is None:  # the file has left the table, and came in with this request's blocks
                group_ends = self._ends_of(path)
            groups = np.searchsorted(group_ends, inside, side="right")
            for group in np.unique(groups).tolist():
                some = groups == group
                own = inside[some] - (group_ends[group - 1] if group else 0)
                cells = self._packed.take((path, group), own, partial(self._whole, path, group))
                for place, cell in zip(mine[some].tolist(), cells, strict=True):
                    found[place] = cell
        return found

    def _whole(self, path: str, group: int) -> pa.Table:
        """Read all that the archive would keep of a part of a file."""
        with self._open(path) as parquet:
            leaves = _leaves(parquet, [column.path for column in self.stored])
            return self._columns(parquet.read_row_group(group, list(leaves)), list(self.stored))

    def _ends_of(self, path: str) -> Ints:
        with self._open(path) as parquet:
            lengths = [parquet.metadata.row_group(group).num_rows for group in range(parquet.num_row_groups)]
        return np.cumsum(lengths, dtype=np.int64)

    @cached_property
    def _packed(self) -> PackedRows:
        schema = self._columns(self.lake.schema("science").empty_table(), list(self.stored)).schema
        return PackedRows(Layout(schema))

    @cached_property
    def _none(self) -> pa.Table:
        """The index of no alerts."""
        columns = [column for column in self.stored if column.name in INDEX]
        none = self._columns(self.lake.schema("science").empty_table(), columns).select(INDEX)
        return none.append_column(NIGHT, pa.array([], pa.string()))

    @contextmanager
    def _open(self, path: str) -> Iterator[pq.ParquetFile]:
        uri = self.lake.uri("science")
        filesystem, base = FileSystem.from_uri(uri) if "://" in uri else (LocalFileSystem(), uri)
        with filesystem.open_input_file(f"{base}/{path}") as source:
            yield pq.ParquetFile(source)

    def _columns(self, rows: pa.Table, stored: list[Stored]) -> pa.Table:
        """Give rows of ``science`` under the names of the API; what a file is too old to have is null."""
        schema = self.lake.schema("science")
        fields = _fields(rows, {column.path[0] for column in stored if len(column.path) > 1})
        columns, names = [], []
        for column in stored:
            kind = schema.field(column.path[0]).type
            for name in column.path[1:]:
                kind = kind.field(name).type
            values = fields.get(column.path)
            values = pa.nulls(rows.num_rows, kind) if values is None else values
            columns.append(values if values.type == kind else values.cast(kind))
            names.append(column.name)
        return pa.table(columns, names=names)


def _in_order(parts: Sequence[pa.Table], places: Sequence[Ints]) -> pa.Table:
    """Put parts together again whose rows belong to these places."""
    whole = pa.concat_tables(parts, promote_options="permissive")
    if len(places) == 1:
        return whole
    order = np.empty(whole.num_rows, np.int64)
    order[np.concatenate(places)] = np.arange(whole.num_rows)
    return whole.take(pa.array(order))


def _fields(rows: pa.Table, records: Collection[str]) -> dict[Path, pa.Array | pa.ChunkedArray]:
    """Give every column by its path, and every field of some records; a field of a null record is null."""
    found: dict[Path, pa.Array | pa.ChunkedArray] = {}
    for name, column in zip(rows.column_names, rows.columns, strict=True):
        found[(name,)] = column
        if name in records:
            whole = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
            found |= {(name, field.name): values for field, values in zip(column.type, whole.flatten(), strict=True)}
    return found


def _leaves(parquet: pq.ParquetFile, paths: Sequence[Path]) -> tuple[str, ...]:
    """Name the columns of a file that hold some fields; records are read field by field."""
    schema = parquet.schema  # made anew each time it is asked for
    return _leaves_of(tuple(schema.column(place).path for place in range(len(schema))), tuple(paths))


@lru_cache(maxsize=256)
def _leaves_of(columns: tuple[str, ...], paths: tuple[Path, ...]) -> tuple[str, ...]:
    wanted: dict[str, list[Path]] = {}
    for path in paths:
        wanted.setdefault(path[0], []).append(path)
    return tuple(
        column for column in columns if any(_holds(column, path) for path in wanted.get(column.partition(".")[0], ()))
    )


def _holds(column: str, path: Path) -> bool:
    """Tell whether a column of a file belongs to a field; between its names the file has levels of its own."""
    parts = iter(column.split("."))
    return all(name in parts for name in path)
