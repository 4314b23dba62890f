"""Names of objects in the archive's table ``ztf.metadata``: a copy, brought up to date whenever HBase answers.

The store has the last word. A row carries the time at which its name was given, so that a copy that is made twice, or
by two processes, ends the same.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from fink_lib.archive.hbase import HBase
from fink_lib.archive.registry import register
from fink_lib.archive.tables import archive_table
from fink_lib.archive.writer import put_rows
from fink_lib.community.store import Store

if TYPE_CHECKING:
    from fink_lib.config import HBaseSettings
    from fink_lib.surveys.base import Survey

TABLE = "ztf.metadata"
COLUMNS = ("object_id", "internal_name", "internal_name_encoded", "comments", "username")
ATTEMPTS = 1
TIMEOUT_MS = 5_000


def copy_names(store: Store, settings: HBaseSettings, survey: Survey) -> int:
    """Copy the names that were given since the last time.

    Parameters
    ----------
    store : Store
        Has them.
    settings : HBaseSettings
        Where HBase is; it is not asked if there is nothing to copy.
    survey : Survey
        Whose archive.

    Returns
    -------
    int
        How many rows.

    Raises
    ------
    TransientError
        If HBase is away; the same call later goes on.
    """
    known = store.row("SELECT up_to FROM mirrors WHERE name = ?", TABLE)
    rows = store.rows("SELECT * FROM metadata WHERE id > ? ORDER BY id", known["up_to"] if known else 0)
    if not rows:
        return 0
    with HBase(settings, ATTEMPTS, TIMEOUT_MS) as hbase:
        register(hbase, settings, [archive_table(survey, TABLE)], survey)
        for row in rows:
            told = pa.table({_stored(name): pa.array([row[name]], pa.string()) for name in COLUMNS})
            put_rows(hbase, survey, TABLE, told, int(1000 * datetime.fromisoformat(row["created"]).timestamp()))
    with store.transaction() as change:
        change.run("INSERT OR REPLACE INTO mirrors VALUES (?, ?)", TABLE, rows[-1]["id"])
    return len(rows)


def _stored(name: str) -> str:
    return "i:objectId" if name == "object_id" else f"d:{name}"
