"""The sums of nights' summaries, month by month or year by year."""

from __future__ import annotations

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.config import project_root
from fink_lib.lake.tables import PARTITION

DIGITS = {"month": 6, "year": 4}
"""How many digits of a night name its month, and its year."""

PARTS = ("basic", "class", "filters", "quality")
"""Tables of names and counts that nights are summed over."""

COLUMNS = (PARTITION, *PARTS, "fields", "coverage")
"""What the sums need of table ``night_summary``."""

Sums = dict[str, dict[str, int]]
"""For each of :data:`PARTS`, name to count."""


def sum_nights(rows: pa.Table, period: str) -> dict[str, Sums]:
    """Sum the summaries of nights.

    Parameters
    ----------
    rows : pyarrow.Table
        Rows of ``night_summary`` with :data:`COLUMNS`.
    period : str
        ``month`` or ``year``.

    Returns
    -------
    dict
        Sums by ``YYYYMM`` or ``YYYY``, oldest first. ``basic`` has ``nights``, how many were summed, and the different
        ``fields`` and ``sky_pixels``, which do not add up. A count that no night of the period has is not there.
    """
    named = pc.utf8_slice_codeunits(rows.column(PARTITION), 0, DIGITS[period])
    session = duckdb.connect(":memory:")
    session.register("night_summary", rows.select(COLUMNS).append_column("period", named))
    found = session.execute((project_root() / "sql" / "summaries" / "rollup.sql").read_text()).fetchall()
    session.close()
    sums: dict[str, Sums] = {}
    for label, part, name, number in found:
        sums.setdefault(label, {one: {} for one in PARTS})[part][name] = number
    return sums
