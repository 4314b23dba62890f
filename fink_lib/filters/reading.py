"""Reading what filters look at from Parquet files of ``science``: single fields, not whole records.

An alert's record has a hundred fields and its history some thirty entries of fifty; a filter looks at a few of them.
"""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.parquet as pq

from fink_lib.filters.values import Reference, UnknownValueError, type_of
from fink_lib.lake.lake import conform


def read_values(
    parquet: pq.ParquetFile, group: int, references: Iterable[Reference], schema: pa.Schema, extra: tuple[str, ...] = ()
) -> pa.Table:
    """Read one row group, at least what some references name.

    Parameters
    ----------
    parquet : pyarrow.parquet.ParquetFile
        The file.
    group : int
        Which row group.
    references : iterable of Reference
        What is looked at.
    schema : pyarrow.Schema
        Columns of the table that the file belongs to.
    extra : tuple of str
        Further columns, whole.

    Returns
    -------
    pyarrow.Table
        The root columns of the references; records may lack the fields that nobody asked for. A value that the file
        does not have, because it is older than the column, is null.
    """
    wanted = [*references, *(Reference((name,)) for name in extra)]
    leaves = _leaves(parquet, wanted, schema)
    if leaves is not None:
        return parquet.read_row_group(group, columns=leaves)
    present = set(parquet.schema_arrow.names)
    roots = pa.schema([schema.field(name) for name in sorted({one.root for one in wanted})])
    return conform(parquet.read_row_group(group, columns=[name for name in roots.names if name in present]), roots)


def _leaves(parquet: pq.ParquetFile, references: Iterable[Reference], schema: pa.Schema) -> list[str] | None:
    """Give the file's columns that hold some references; None if one is missing there or has another type."""
    columns = [parquet.schema.column(place).path for place in range(len(parquet.schema))]
    by_root: dict[str, list[str]] = {}
    for column in columns:
        by_root.setdefault(column.partition(".")[0], []).append(column)
    present = parquet.schema_arrow
    chosen: dict[str, None] = {}
    for reference in references:
        try:
            same = type_of(present, reference) == type_of(schema, reference)
        except UnknownValueError:
            # a whole record: no value of a predicate, but something else may be asked for
            place = present.get_field_index(reference.root)
            same = place >= 0 and present.field(place).type == schema.field(reference.root).type
        if not same:
            return None
        chosen.update(dict.fromkeys(c for c in by_root[reference.root] if _holds(c.split("."), reference)))
    return list(chosen)


def _holds(column: list[str], reference: Reference) -> bool:
    """Tell whether a column of the file belongs to a reference; between its names the file has levels of its own."""
    place = 0
    for part in column:
        if place < len(reference.path) and part == reference.path[place]:
            place += 1
    return place == len(reference.path)
