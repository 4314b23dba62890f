"""Table ``statistics_class``: one row per night with the numbers of its summary."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from fink_lib.archive.cells import decode_cell, encode_cells
from fink_lib.archive.rows import Row
from fink_lib.archive.tables import STATISTICS_TABLE

if TYPE_CHECKING:
    from fink_lib.archive.hbase import HBase

FAMILIES = ("basic", "class")


def statistics_key(survey: str, night: str) -> bytes:
    """Give the row key, ``ztf_20240312``."""
    return f"{survey}_{night}".encode()


def write_statistics(hbase: HBase, survey: str, night: str, tables: Mapping[str, Mapping[str, int]]) -> int:
    """Replace the night's row.

    Parameters
    ----------
    hbase : HBase
        The connection.
    survey, night : str
        Which night.
    tables : mapping
        ``basic`` and ``class``, each a mapping of name to count.

    Returns
    -------
    int
        Number of cells.
    """
    hbase.ensure_table(STATISTICS_TABLE, FAMILIES)
    key = statistics_key(survey, night)
    counts = {f"{family}:{name}": number for family in FAMILIES for name, number in tables[family].items()}
    # The row's time is the night's, so that the same numbers are the same cells. A name that was there and no longer
    # occurs becomes 0, which is what an absent class means.
    gone = set(read_statistics(hbase, survey, night)) - set(counts)
    counts |= dict.fromkeys(gone, 0)
    names = sorted(counts)
    values = encode_cells(pa.array([counts[name] for name in names], pa.int64()))
    cells = {name.encode(): value for name, value in zip(names, values, strict=True) if value is not None}
    start = datetime.strptime(night, "%Y%m%d").replace(tzinfo=UTC)
    hbase.put(STATISTICS_TABLE, [Row(key, cells, int(start.timestamp() * 1000))], batch_rows=1)
    return len(cells)


def read_statistics(hbase: HBase, survey: str, night: str) -> dict[str, int]:
    """Read the night's row: ``family:name`` to count; empty if there is none."""
    key = statistics_key(survey, night)
    cells, _ = hbase.rows(STATISTICS_TABLE, [key]).get(key, ({}, 0))
    return {name.decode(): decode_cell(value, pa.int64()) for name, value in cells.items()}
