"""Giving a few columns of a few rows other values: the files that hold these rows are written anew, once.

A file is read and written row group by row group, so memory does not grow with the night. The old files go and the new
ones come in one commit; a reader sees one or the other. Streams that follow the table skip such a commit. If anything
at all was committed to the table meanwhile, the files are chosen and written again: delta-rs itself would not notice
that a file which is taken away was gone already, and its rows would be there twice.
"""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import CommitProperties
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction, RemoveAction
from pyarrow.fs import FileSystem

from fink_lib.errors import TransientError
from fink_lib.lake.lake import ROW_GROUP_ROWS, as_uri, file_stats
from fink_lib.lake.lookup import open_file
from fink_lib.lake.tables import PARTITION, STATS_COLUMNS

if TYPE_CHECKING:
    import pyarrow.dataset as ds

    from fink_lib.lake.lake import Lake

ATTEMPTS = 5


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
        If other processes commit to the table all the time.
    """
    for _ in range(ATTEMPTS):
        try:
            return _attempt(lake, table, night, key, values)
        except CommitFailedError as error:
            last = error
    raise TransientError(f"other writers kept changing {table} of {lake.survey.name}: {last}") from last


def _attempt(lake: Lake, table: str, night: str, key: str, values: pa.Table) -> int:
    schema = lake.schema(table)
    keys = values.column(key).combine_chunks()
    news = {
        name: values.column(name).cast(schema.field(name).type).combine_chunks()
        for name in values.column_names
        if name != key
    }
    delta = lake.table(table)
    actions: list[AddAction | RemoveAction] = []
    changed = 0
    for action in pa.table(delta.get_add_actions(flatten=True)).to_pylist():
        if action[f"partition.{PARTITION}"] != night:
            continue
        file = open_file(lake.uri(table), action["path"])
        rows = file.to_table(schema=pa.schema([schema.field(key)])).column(key)
        hits = int(np.count_nonzero(pc.is_in(rows, value_set=keys).to_numpy()))
        if hits:
            changed += hits
            actions += [_removal(action), _rewritten(lake, table, night, file, key, keys, news)]
    if actions:
        delta.create_write_transaction(
            actions,
            mode="append",
            schema=schema,
            partition_by=[PARTITION],
            commit_properties=CommitProperties(max_commit_retries=0),
        )
    return changed


def _removal(action: dict[str, Any]) -> RemoveAction:
    return RemoveAction(
        action["path"],
        True,
        int(time.time() * 1000),
        action["size_bytes"],
        {PARTITION: action[f"partition.{PARTITION}"]},
    )


def _rewritten(
    lake: Lake,
    table: str,
    night: str,
    file: ds.ParquetFileFragment,
    key: str,
    keys: pa.Array,
    news: dict[str, pa.Array],
) -> AddAction:
    """Write a file anew with other values in some rows; nobody sees it before it is committed."""
    body = pa.schema([field for field in lake.schema(table) if field.name != PARTITION])
    tracked = [name for name in STATS_COLUMNS if name in body.names]
    filesystem, base = FileSystem.from_uri(as_uri(lake.uri(table)))
    name = f"{PARTITION}={night}/part-{uuid.uuid4().hex}.parquet"
    group_rows = ROW_GROUP_ROWS.get(table, 100_000)
    ranges: list[pa.Table] = []
    with (
        filesystem.open_output_stream(f"{base}/{name}") as sink,
        pq.ParquetWriter(sink, body, compression="zstd", write_statistics=tracked or False) as writer,
    ):
        for batch in file.to_batches(schema=body, batch_size=group_rows):
            rows = _patched(pa.Table.from_batches([batch], schema=body), key, keys, news)
            writer.write_table(rows, row_group_size=group_rows)
            ranges.append(rows.select(tracked))
    size = filesystem.get_file_info(f"{base}/{name}").size
    stats = file_stats(pa.concat_tables(ranges))
    return AddAction(name, size, {PARTITION: night}, int(time.time() * 1000), True, stats)


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
