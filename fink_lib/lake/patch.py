"""Giving some rows of a night other values: the files that hold these rows are written anew, once.

A file is read and written row group by row group, so memory does not grow with the night. The old files go and the new
ones come in one commit; a reader sees one or the other. Streams that follow the table skip such a commit.

Each try to commit first makes sure that every file which goes is still there, and fails if anything was committed
since: delta-rs itself would not notice that a file was gone already, and its rows would be there twice.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import CommitProperties, Transaction
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction, RemoveAction
from pyarrow.fs import FileSystem

from fink_lib.errors import TransientError
from fink_lib.lake.lake import ROW_GROUP_ROWS, as_uri, file_stats
from fink_lib.lake.lookup import open_file
from fink_lib.lake.tables import PARTITION, STATS_COLUMNS

if TYPE_CHECKING:
    from fink_lib.lake.lake import Lake

ATTEMPTS = 5
COMMIT_ATTEMPTS = 50


class MovedError(TransientError):
    """A file that was to be replaced is gone: somebody else has rewritten its rows."""


@dataclass(frozen=True)
class Replacement:
    """A file that is written anew, and not committed.

    Parameters
    ----------
    old : str
        The file that goes, as in the table's log.
    new : AddAction
        The file that comes.
    """

    old: str
    new: AddAction


def patch_rows(lake: Lake, table: str, night: str, key: str, values: pa.Table) -> int:
    """Give rows of one night other values, atomically.

    Parameters
    ----------
    lake : Lake
        The survey's lake.
    table : str
        Name of the table.
    night : str
        ``YYYYMMDD``.
    key : str
        Column of whole numbers that names a row.
    values : pyarrow.Table
        `key`, each value once, and the columns to change.

    Returns
    -------
    int
        Rows that were changed; rows of `values` that the night does not have are ignored.

    Raises
    ------
    TransientError
        If other processes rewrite the night, or commit to the table, all the time.
    """
    schema = lake.schema(table)
    keys = values.column(key).combine_chunks()
    news = {
        name: values.column(name).cast(schema.field(name).type).combine_chunks()
        for name in values.column_names
        if name != key
    }
    for _ in range(ATTEMPTS):
        changed = 0
        replacements = []
        try:
            for path in files_of(lake, table, night):
                rows = open_file(lake.uri(table), path).to_table(schema=pa.schema([schema.field(key)])).column(key)
                hits = int(np.count_nonzero(pc.is_in(rows, value_set=keys).to_numpy()))
                if hits:
                    changed += hits
                    replacements.append(write_anew(lake, table, path, lambda rows: _patched(rows, key, keys, news)))
            swap_files(lake, table, replacements)
            return changed
        except MovedError as error:
            last = error
    raise TransientError(f"other writers kept changing night {night} of {table}: {last}") from last


def rewriter(lake: Lake, night: str) -> str:
    """Name the writer whose commits to ``science`` give a night other values or rows: healings, promoted replays."""
    return f"{lake.survey.name}.heal.{night}"


def rewritten(lake: Lake, night: str, since: int = 0) -> int:
    """Give the number of the last commit of :func:`rewriter`, at least `since`; asks the log only for what is new."""
    while lake.committed("science", rewriter(lake, night), since + 1):
        since += 1
    return since


def files_of(lake: Lake, table: str, night: str) -> list[str]:
    """Name the files of a night, as in the table's log."""
    actions = pa.table(lake.table(table).get_add_actions(flatten=True)).to_pylist()
    return sorted(action["path"] for action in actions if action[f"partition.{PARTITION}"] == night)


def swap_files(
    lake: Lake, table: str, replacements: Sequence[Replacement], transaction: tuple[str, int] | None = None
) -> bool:
    """Let new files stand for old ones, in one commit.

    Parameters
    ----------
    lake : Lake
        The survey's lake.
    table : str
        Name of the table.
    replacements : sequence of Replacement
        What :func:`write_anew` gave; with none, nothing is committed.
    transaction : (str, int), optional
        Name and rising number of the writer: what the table holds already is not committed again.

    Returns
    -------
    bool
        Whether something was committed.

    Raises
    ------
    MovedError
        If an old file is not in the table any more; the new ones stay unseen.
    TransientError
        If other processes commit to the table all the time.
    """
    if not replacements or (transaction and lake.committed(table, *transaction)):
        return False
    for _ in range(COMMIT_ATTEMPTS):
        delta = lake.table(table)
        there = {action["path"]: action for action in pa.table(delta.get_add_actions(flatten=True)).to_pylist()}
        gone = [one.old for one in replacements if one.old not in there]
        if gone:
            raise MovedError(f"{gone[0]} of {table} was rewritten meanwhile")
        properties = CommitProperties(
            max_commit_retries=0, app_transactions=[Transaction(*transaction)] if transaction else None
        )
        actions = [action for one in replacements for action in (removal(there[one.old]), one.new)]
        try:
            delta.create_write_transaction(
                actions,
                mode="append",
                schema=lake.schema(table),
                partition_by=[PARTITION],
                commit_properties=properties,
            )
            return True
        except CommitFailedError as error:
            last = error
    raise TransientError(f"other writers kept committing to {table} of {lake.survey.name}: {last}") from last


def removal(action: dict[str, Any]) -> RemoveAction:
    """Write that a file goes, given its entry in the log."""
    return RemoveAction(
        action["path"],
        True,
        int(time.time() * 1000),
        action["size_bytes"],
        {PARTITION: action[f"partition.{PARTITION}"]},
    )


def write_anew(lake: Lake, table: str, path: str, change: Callable[[pa.Table], pa.Table]) -> Replacement:
    """Write a file with other values in some rows; nobody sees it before :func:`swap_files`.

    Parameters
    ----------
    lake : Lake
        The survey's lake.
    table : str
        Name of the table.
    path : str
        The file, as in the table's log.
    change : callable
        Takes the rows of a row group (all columns but the night) and gives as many rows back, in their order.

    Returns
    -------
    Replacement
    """
    body = pa.schema([field for field in lake.schema(table) if field.name != PARTITION])
    tracked = [name for name in STATS_COLUMNS if name in body.names]
    night = night_of_file(path)
    filesystem, base = FileSystem.from_uri(as_uri(lake.uri(table)))
    name = f"{PARTITION}={night}/part-{uuid.uuid4().hex}.parquet"
    group_rows = ROW_GROUP_ROWS.get(table, 100_000)
    ranges: list[pa.Table] = []
    with (
        filesystem.open_output_stream(f"{base}/{name}") as sink,
        pq.ParquetWriter(sink, body, compression="zstd", write_statistics=tracked or False) as writer,
    ):
        for batch in open_file(lake.uri(table), path).to_batches(schema=body, batch_size=group_rows):
            rows = change(pa.Table.from_batches([batch], schema=body))
            writer.write_table(rows, row_group_size=group_rows)
            ranges.append(rows.select(tracked))
    size = filesystem.get_file_info(f"{base}/{name}").size
    stats = file_stats(pa.concat_tables(ranges))
    return Replacement(path, AddAction(name, size, {PARTITION: night}, int(time.time() * 1000), True, stats))


def night_of_file(path: str) -> str:
    """Give the night of a file, by its folder."""
    return path.rpartition("/")[0].rpartition(f"{PARTITION}=")[2]


def _patched(rows: pa.Table, key: str, keys: pa.Array, news: dict[str, pa.Array]) -> pa.Table:
    place: npt.NDArray[np.float64] = pc.index_in(rows.column(key).combine_chunks(), value_set=keys).to_numpy(
        zero_copy_only=False
    )
    hit = ~np.isnan(place)
    if not hit.any():
        return rows
    # Old and new values one after the other, and from each row's own place: works for every type, nested ones too.
    choice = pa.array(np.where(hit, np.nan_to_num(place) + len(rows), np.arange(len(rows))).astype(np.int64))
    for name, new in news.items():
        column = rows.schema.get_field_index(name)
        both = pa.concat_arrays([rows.column(name).combine_chunks(), new])
        rows = rows.set_column(column, rows.schema.field(column), both.take(choice))
    return rows
