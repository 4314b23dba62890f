"""Several columns of a table put in their places at once: Arrow makes a whole new table for each step."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa


def with_columns(table: pa.Table, columns: Mapping[str, pa.Array | pa.ChunkedArray]) -> pa.Table:
    """Give a table with some columns in the place of those of the same name; new ones come behind the last.

    Parameters
    ----------
    table : pyarrow.Table
        The table.
    columns : mapping of str to array
        As long as the table.
    """
    if not columns:
        return table
    whole = {**dict(zip(table.column_names, table.columns, strict=True)), **columns}
    return pa.Table.from_arrays(list(whole.values()), names=list(whole))
