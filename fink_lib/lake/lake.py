"""The lake of one survey: write Parquet anywhere, commit it once, read it without a JVM.

A write has two halves. Any process, a Spark worker for one, writes Parquet files that nobody sees yet
(:meth:`Lake.write_files`). One process then commits them in a single Delta transaction that carries the writer's
name and batch number (:meth:`Lake.commit`); a commit that the table already holds is skipped. All commits go through
delta-rs, whose put-if-absent is atomic between processes on a local disk too.
"""

from __future__ import annotations

import json
import os
import threading
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake import Schema as DeltaSchema
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction
from pyarrow.fs import FileSystem, FileType, SubTreeFileSystem

from fink_lib.errors import TransientError
from fink_lib.lake.tables import PARTITION, STATS_COLUMNS, TABLES, WIDENED, table_schema

if TYPE_CHECKING:
    from fink_lib.surveys.base import Survey

ROW_GROUP_ROWS = {"cutouts": 64, "raw": 2000, "science": 2000}
COMMIT_RETRIES = 50
COMMIT_ATTEMPTS = 20
COMMIT_PAUSE_S = 0.02

_FOLLOWED = threading.local()
"""By address: tables that this thread writes to."""


@dataclass(frozen=True)
class NewFile:
    """A Parquet file that is written but not committed."""

    path: str
    night: str
    rows: int
    bytes: int
    stats: str


@dataclass(frozen=True)
class Lake:
    """The Delta tables of one survey.

    Parameters
    ----------
    root : str
        Folder or URI that holds ``<table>/<survey>``.
    survey : Survey
        Gives the columns of ``raw`` and ``science``.
    """

    root: str
    survey: Survey

    def uri(self, table: str) -> str:
        """Address of a table."""
        return f"{self.root}/{table}/{self.survey.name}"

    def schema(self, table: str) -> pa.Schema:
        """Columns of a table, ``night`` last."""
        return table_schema(table, self.survey)

    def ensure(self) -> None:
        """Create the tables that are missing; harmless when all are there."""
        for table in TABLES:
            uri = self.uri(table)
            if DeltaTable.is_deltatable(uri):
                if table in WIDENED:
                    _widen(DeltaTable(uri), self.schema(table))
                continue
            if "://" not in uri:
                Path(uri).mkdir(parents=True, exist_ok=True)
            try:
                DeltaTable.create(uri, self.schema(table), mode="ignore", partition_by=[PARTITION])
            except DeltaError:
                if not DeltaTable.is_deltatable(uri):  # another process made it a moment ago
                    raise

    def table(self, table: str) -> DeltaTable:
        """Open a table at its newest version.

        Raises
        ------
        TransientError
            If the table does not exist yet.
        """
        try:
            return DeltaTable(self.uri(table))
        except TableNotFoundError as error:
            raise TransientError(f"no table at {self.uri(table)}; start the streams once to create it") from error

    # -- writing -------------------------------------------------------------------------------------------------

    def write_files(self, table: str, rows: pa.Table) -> list[NewFile]:
        """Write rows as Parquet files, one per night; nothing is visible before :meth:`commit`.

        Parameters
        ----------
        table : str
            Name of the table.
        rows : pyarrow.Table
            Columns of :meth:`schema` in any order; missing ones become null.

        Returns
        -------
        list of NewFile
        """
        if rows.num_rows == 0:
            return []
        schema = self.schema(table)
        rows = conform(rows, schema)
        nights = rows.column(PARTITION).unique().to_pylist()
        body = rows.drop_columns([PARTITION])
        filesystem, base = FileSystem.from_uri(as_uri(self.uri(table)))
        files = []
        for night in nights:
            part = body if len(nights) == 1 else body.filter(pc.equal(rows.column(PARTITION), night))
            folder = f"{PARTITION}={night}"
            filesystem.create_dir(f"{base}/{folder}", recursive=True)
            name = f"{folder}/part-{uuid.uuid4().hex}.parquet"
            with filesystem.open_output_stream(f"{base}/{name}") as sink:
                pq.write_table(
                    part,
                    sink,
                    compression="zstd" if table != "cutouts" else "none",  # stamps are gzipped already
                    row_group_size=ROW_GROUP_ROWS.get(table, 100_000),
                    use_dictionary=False if table == "cutouts" else True,
                    write_statistics=[c for c in STATS_COLUMNS if c in part.column_names] or False,
                )
            size = filesystem.get_file_info(f"{base}/{name}").size
            files.append(NewFile(name, night, part.num_rows, size, file_stats(part)))
        return files

    def committed(self, table: str, app_id: str, version: int) -> bool:
        """Tell whether the table already holds batch `version` of writer `app_id`."""
        return _holds(self._followed(table), app_id, version)

    def commit(self, table: str, files: Sequence[NewFile], app_id: str, version: int) -> bool:
        """Make files visible, exactly once for each (writer, batch).

        Parameters
        ----------
        table : str
            Name of the table.
        files : sequence of NewFile
            What :meth:`write_files` returned, here or in another process. With none, nothing is written.
        app_id : str
            Name of the writer, with its checkpoint generation.
        version : int
            Batch number; must rise.

        Returns
        -------
        bool
            False if the table held this batch already (a replay): the files stay unseen.

        Raises
        ------
        TransientError
            If other processes rewrite the table all the time.
        """
        if not files:
            return False
        delta = self._followed(table)
        if _holds(delta, app_id, version):
            return False
        now_ms = int(time.time() * 1000)
        actions = [AddAction(f.path, f.bytes, {PARTITION: f.night}, now_ms, True, f.stats) for f in files]
        for attempt in range(1, COMMIT_ATTEMPTS + 1):
            try:
                delta.create_write_transaction(
                    actions,  # type: ignore[arg-type]
                    mode="append",
                    schema=self.schema(table),
                    partition_by=[PARTITION],
                    commit_properties=CommitProperties(
                        app_transactions=[Transaction(app_id, version)], max_commit_retries=COMMIT_RETRIES
                    ),
                )
                return True
            except CommitFailedError as error:
                # Rows of a night were given other values meanwhile. To delta-rs that is a conflict even for rows that
                # only come; seen from the table as it is now there is none.
                last = error
                time.sleep(COMMIT_PAUSE_S * attempt)
                delta = self._followed(table)
                if _holds(delta, app_id, version):
                    return False
        raise TransientError(f"other writers kept committing to {table} of {self.survey.name}: {last}") from last

    def append(self, table: str, rows: pa.Table, app_id: str | None = None, version: int = 0) -> bool:
        """Write and commit rows from one process.

        With `app_id` the append is done once per (writer, version); without, each call adds its rows.
        """
        if app_id is None:
            app_id, version = f"once-{uuid.uuid4().hex}", 0
        if self.committed(table, app_id, version):
            return False
        return self.commit(table, self.write_files(table, rows), app_id, version)

    def replace_night(self, table: str, night: str, rows: pa.Table) -> None:
        """Replace all rows of one night by `rows`, atomically; the same rows give the same content."""
        rows = conform(rows, self.schema(table))
        try:
            write_deltalake(
                self.uri(table),
                rows,
                mode="overwrite",
                predicate=f"{PARTITION} = '{night}'",
                commit_properties=CommitProperties(max_commit_retries=COMMIT_RETRIES),
            )
        except CommitFailedError as error:
            raise TransientError(f"another writer changed night {night} of {table} meanwhile: {error}") from error

    def _followed(self, table: str) -> DeltaTable:
        """Give this thread's own handle of a table, brought up to date; opening one reads up to 100 log files.

        It never leaves this class: whoever holds a table of :meth:`table` can rely on its version.
        """
        handles: dict[str, DeltaTable] = _FOLLOWED.__dict__
        uri = self.uri(table)
        if uri in handles:
            try:
                handles[uri].update_incremental()
                return handles[uri]
            except DeltaError:  # the log behind it was cleaned up meanwhile
                del handles[uri]
        handles[uri] = self.table(table)
        return handles[uri]

    # -- reading -------------------------------------------------------------------------------------------------

    def dataset(self, table: str, nights: Iterable[str] | None = None) -> ds.Dataset:
        """Open a table for reading with pyarrow; files outside `nights` are not touched.

        Each file promises its night and the range of its :data:`~fink_lib.lake.tables.STATS_COLUMNS`, nothing else.
        What delta-rs itself tells pyarrow of a column without statistics is "not less than null", from which pyarrow
        concludes that no row can meet any condition on it, and leaves the file out in silence.

        The files are opened by Arrow itself. Those that delta-rs opens for it are Python objects, and a thread of Arrow
        that lets go of one while the interpreter ends aborts the process.
        """
        delta = self.table(table)
        store, root = FileSystem.from_uri(as_uri(self.uri(table)))
        chosen = None if nights is None else [(PARTITION, "in", sorted(set(nights)))]
        found = delta.to_pyarrow_dataset(
            filesystem=SubTreeFileSystem(root, store), file_pruning_predicate=chosen, schema=self.schema(table)
        )
        promises = {row["path"]: _promise(row) for row in pa.table(delta.get_add_actions(flatten=True)).to_pylist()}
        fragments = [
            found.format.make_fragment(
                fragment.path, found.filesystem, partition_expression=promises[unquote(fragment.path)]
            )
            for fragment in found.get_fragments()
        ]
        return ds.FileSystemDataset(fragments, self.schema(table), found.format, found.filesystem)

    def read(
        self,
        table: str,
        nights: Iterable[str] | None = None,
        columns: Sequence[str] | None = None,
        where: pc.Expression | None = None,
    ) -> pa.Table:
        """Read rows into memory: only the nights, columns and rows asked for."""
        return self.dataset(table, nights).to_table(columns=list(columns) if columns else None, filter=where)

    def nights(self, table: str) -> list[str]:
        """Nights that have rows in a table, in order of time."""
        return sorted({str(p[PARTITION]) for p in self.table(table).partitions()})

    def count(self, table: str, night: str) -> int:
        """Count the rows of a night (from file metadata)."""
        return int(self.dataset(table, [night]).count_rows())


def _holds(delta: DeltaTable, app_id: str, version: int) -> bool:
    last = delta.transaction_version(app_id)
    return last is not None and last >= version


def _widen(delta: DeltaTable, schema: pa.Schema) -> None:
    """Add the columns that a table made by an older version lacks; its rows have nulls there."""
    known = {field.name for field in delta.schema().fields}
    fresh = [field for field in schema if field.name not in known]
    if fresh:
        delta.alter.add_columns(list(DeltaSchema.from_arrow(pa.schema(fresh)).fields))


def conform(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Give `rows` exactly the columns of `schema`: reordered, cast, null where absent.

    Raises
    ------
    ValueError
        If `rows` has a column that the schema does not know.
    """
    unknown = set(rows.column_names) - set(schema.names)
    if unknown:
        raise ValueError(f"columns {sorted(unknown)} are not in the table's schema")
    columns: list[Any] = []
    for field in schema:
        if field.name in rows.column_names:
            column = rows.column(field.name)
            columns.append(column if column.type == field.type else column.cast(field.type))
        else:
            columns.append(pa.nulls(rows.num_rows, field.type))
    return pa.Table.from_arrays(columns, schema=schema)


def file_stats(part: pa.Table) -> str:
    """Give what a file's log entry says of its rows: their number, and the range of some columns."""
    least: dict[str, Any] = {}
    most: dict[str, Any] = {}
    for name in STATS_COLUMNS:
        if name in part.column_names and part.num_rows:
            edges = pc.min_max(part.column(name)).as_py()
            if edges["min"] is not None:
                least[name], most[name] = edges["min"], edges["max"]
    return json.dumps({"numRecords": part.num_rows, "minValues": least, "maxValues": most, "nullCount": {}})


def _promise(action: dict[str, Any]) -> pc.Expression:
    """Write what a file's log entry says of all of its rows."""
    holds = pc.field(PARTITION) == action[f"partition.{PARTITION}"]
    for name in STATS_COLUMNS:
        least, most = action.get(f"min.{name}"), action.get(f"max.{name}")
        if least is not None and most is not None:
            holds &= (pc.field(name) >= least) & (pc.field(name) <= most)
    return holds


def as_uri(location: str) -> str:
    """Give a location as a URI; a plain path is a file."""
    return location if "://" in location else f"file://{os.path.abspath(location)}"


def file_exists(location: str) -> bool:
    """Tell whether a file or folder is there, on a disk or in an object store."""
    filesystem, path = FileSystem.from_uri(as_uri(location))
    return bool(filesystem.get_file_info(path).type != FileType.NotFound)
