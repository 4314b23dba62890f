"""One night of the lake as views in DuckDB: what the summaries and the quality metrics are computed from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb

from fink_lib.science.simbad_types import sql_macros

if TYPE_CHECKING:
    from fink_lib.lake import Lake

TABLES = ("raw", "science", "rejected", "quarantine", "sent", "ledger")
THREADS = 2


def open_night(lake: Lake, night: str) -> duckdb.DuckDBPyConnection:
    """Open an in-memory database with a view on each table, of one night only, and the macros of SIMBAD types.

    The views read Parquet as the query goes, only the columns that it names. A table ``night`` has one row with the
    column ``night``.
    """
    session = duckdb.connect(":memory:", config={"threads": THREADS})
    session.execute("SET enable_progress_bar = false")
    session.execute("SET TimeZone = 'UTC'")
    for statement in sql_macros().values():
        session.execute(statement)
    for table in TABLES:
        session.register(table, lake.dataset(table, [night]))
    session.execute("CREATE TABLE night AS SELECT ? AS night", [night])
    session.execute("SET enable_external_access = false")
    return session
