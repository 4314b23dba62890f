"""The query engine of all predicates: DuckDB, shut off from files, network, extensions and its own settings."""

from __future__ import annotations

import threading

import duckdb

_OPTIONS: dict[str, str | bool | int | float | list[str]] = {
    "threads": 1,
    "enable_external_access": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,
}
_OPEN = threading.local()


def engine() -> duckdb.DuckDBPyConnection:
    """Give the engine of the calling thread; it is opened once, which takes some 15 ms.

    One thread keeps the rows in order and leaves the other cores to the other workers. Division by zero and functions
    outside their domain give null instead of NaN or infinity, which would compare as the greatest of all numbers.
    """
    opened: duckdb.DuckDBPyConnection | None = getattr(_OPEN, "engine", None)
    if opened is None:
        opened = duckdb.connect(":memory:", config=_OPTIONS)
        opened.execute("SET ieee_floating_point_ops = false")
        opened.execute("SET lock_configuration = true")
        _OPEN.engine = opened
    return opened
