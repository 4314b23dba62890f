"""Finding the rows of one alert without knowing its night.

Every file of the lake keeps the least and greatest id that it holds in the table's log. Ids grow with time, so one look
at the log leaves a handful of files out of all nights, and only those are opened.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from pyarrow.fs import FileSystem, LocalFileSystem

from fink_lib.lake.tables import PARTITION

if TYPE_CHECKING:
    from fink_lib.lake.lake import Lake


def find_rows(lake: Lake, table: str, column: str, value: Any, columns: Sequence[str] | None = None) -> pa.Table:
    """Read all rows of a table in which a column has one value.

    Parameters
    ----------
    lake : Lake
        The survey's lake.
    table : str
        Name of the table.
    column : str
        One of :data:`fink_lib.lake.tables.STATS_COLUMNS`; with any other every file is opened.
    value : object
        What it shall equal.
    columns : sequence of str, optional
        Columns to read; all without.

    Returns
    -------
    pyarrow.Table
        ``night`` included if it is among the columns; rows in no particular order.

    Raises
    ------
    TransientError
        If the table does not exist yet.
    """
    schema = lake.schema(table)
    wanted = pa.schema([schema.field(name) for name in columns or schema.names])
    inside = pa.schema([field for field in wanted if field.name != PARTITION])
    if column not in inside.names:
        inside = inside.append(schema.field(column))
    parts = []
    for path, night in _files_that_may_hold(lake, table, column, value):
        rows = open_file(lake.uri(table), path).to_table(schema=inside, filter=pc.field(column) == value)
        if PARTITION in wanted.names:
            rows = rows.append_column(schema.field(PARTITION), pa.array([night] * rows.num_rows, pa.string()))
        parts.append(rows.select(wanted.names))
    return pa.concat_tables([wanted.empty_table(), *parts])


def open_file(uri: str, path: str) -> ds.ParquetFileFragment:
    """Open one data file of a table; `path` is relative, as in the table's log."""
    filesystem, base = FileSystem.from_uri(uri) if "://" in uri else (LocalFileSystem(), uri)
    return ds.ParquetFileFormat().make_fragment(f"{base}/{path}", filesystem)


def _files_that_may_hold(lake: Lake, table: str, column: str, value: Any) -> list[tuple[str, str]]:
    actions = pa.table(lake.table(table).get_add_actions(flatten=True))
    names = ("path", f"partition.{PARTITION}")
    least, most = f"min.{column}", f"max.{column}"
    if least in actions.column_names and most in actions.column_names:
        inside = pc.and_(pc.less_equal(actions.column(least), value), pc.greater_equal(actions.column(most), value))
        actions = actions.filter(pc.fill_null(inside, True))  # a file without statistics may hold anything
    return list(zip(*(actions.column(name).to_pylist() for name in names), strict=True))
