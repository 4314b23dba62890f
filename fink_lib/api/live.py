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

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from pyarrow.fs import FileSystem, LocalFileSystem

from fink_lib.api.row_groups import RowGroups
from fink_lib.archive.tables import Stored
from fink_lib.lake import Lake
from fink_lib.lake.tables import PARTITION

REFRESH_S = 1.0
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
Choice = Callable[[pa.Table], Ints]
"""Takes the index of all alerts and gives the numbers of the rows that are wanted, in the order of the answer."""


@dataclass(frozen=True)
class Block:
    """The index of some files.

    Parameters
    ----------
    paths : tuple of str
        The files, relative to the table.
    lengths : tuple of int
        How many rows each has.
    rows : pyarrow.Table
        :data:`INDEX` and :data:`NIGHT` of all of them.
    """

    paths: tuple[str, ...]
    lengths: tuple[int, ...]
    rows: pa.Table


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

    def find(self, choose: Choice, columns: Collection[str] | None, without: Collection[str] = ()) -> pa.Table:
        """Read some alerts.

        Parameters
        ----------
        choose : callable
            Which: from the index to row numbers; called again if files go away meanwhile.
        columns : collection of str, optional
            Stored columns; all without.
        without : collection of str
            Nights that are not searched: those that are archived.

        Returns
        -------
        pyarrow.Table
            Those columns, rows in the order of the choice; no columns if there are no rows.
        """
        stored = [column for column in self.stored if columns is None or column.name in columns]

        def shape(rows: pa.Table) -> pa.Table:
            # nothing has no columns: whoever asks knows them without it
            return self._columns(rows, stored) if rows.num_rows else rows.select([])

        return self._find(choose, without, [column.path for column in stored], shape)

    def science(self, choose: Choice, paths: Sequence[Path], without: Collection[str] = ()) -> pa.Table:
        """Read some alerts as ``science`` has them, as far as some fields go.

        Parameters
        ----------
        choose, without
            See :meth:`find`.
        paths : sequence of tuple of str
            Columns, or fields inside records and lists of records.
        """
        return self._find(choose, without, paths, lambda rows: rows)

    def _find(self, choose: Choice, without: Collection[str], paths: Sequence[Path], shape: Shape) -> pa.Table:
        for last_try in (False, True):
            blocks = self.blocks(without, at_once=last_try)
            rows = choose(pa.concat_tables([self._none, *(block.rows for block in blocks)]))
            try:
                return self._read(blocks, rows, paths, shape)
            except FileNotFoundError:  # compacted and cleaned up between the two steps
                if last_try:
                    raise
        raise AssertionError("unreachable")

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
        blocks = [kept for block in self._blocks if (kept := _without(block, current)).paths]
        known = {path for block in blocks for path in block.paths}
        for path in sorted(current - known):
            rows = self._index(path, listed[path])
            blocks.append(Block((path,), (rows.num_rows,), rows))
        self._blocks = blocks if len(blocks) <= MOST_BLOCKS else [_together(blocks)]
        self._without, self._seen = without, now

    def _index(self, path: str, night: str) -> pa.Table:
        """Read what is kept of a file."""
        columns = [column for column in self.stored if column.name in INDEX]
        with self._open(path) as parquet:
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


def _without(block: Block, current: Collection[str]) -> Block:
    """Leave out the files of a block that the table does not have any more."""
    if all(path in current for path in block.paths):
        return block
    kept = [path in current for path in block.paths]
    rows = block.rows.filter(pa.array(np.repeat(kept, block.lengths)))
    pairs = [pair for pair, keep in zip(zip(block.paths, block.lengths, strict=True), kept, strict=True) if keep]
    return Block(tuple(path for path, _ in pairs), tuple(length for _, length in pairs), rows.combine_chunks())


def _together(blocks: Sequence[Block]) -> Block:
    return Block(
        tuple(path for block in blocks for path in block.paths),
        tuple(length for block in blocks for length in block.lengths),
        pa.concat_tables([block.rows for block in blocks]).combine_chunks(),
    )
