"""The SQL engine of the science stage: DuckDB over Arrow, in the process, one thread.

Spark runs one Python worker per core, so a thread pool inside each would only compete with the others.
"""

from __future__ import annotations

import threading

import duckdb
import pyarrow as pa

from fink_lib.science.simbad_types import sql_macros

_LOCAL = threading.local()


def connection() -> duckdb.DuckDBPyConnection:
    """Give the in-memory connection of this thread; created at first use, with the macros of SIMBAD types."""
    found: duckdb.DuckDBPyConnection | None = getattr(_LOCAL, "connection", None)
    if found is None:
        found = duckdb.connect(":memory:", config={"threads": 1, "enable_external_access": False})
        found.execute("SET enable_progress_bar = false")
        for statement in sql_macros().values():
            found.execute(statement)
        _LOCAL.connection = found
    return found


def select(sql: str, **tables: pa.Table) -> pa.Table:
    """Run a query over Arrow tables.

    Parameters
    ----------
    sql : str
        One SELECT.
    **tables : pyarrow.Table
        The tables that it names.

    Returns
    -------
    pyarrow.Table
    """
    session = connection()
    for name, table in tables.items():
        session.register(name, table)
    try:
        return session.sql(sql).to_arrow_table()
    finally:
        for name in tables:
            session.unregister(name)
