"""Table ``fink.schema_registry``: what the bytes of a packed cell mean, kept beside them.

Row key: the table's name and the hex of the schema id. A layout is written before the first row that uses it and never
changes, since its id is the digest of its content.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fink_lib.archive.codec import Layout
from fink_lib.archive.docs import column_doc
from fink_lib.archive.regions import Shape, make_tables
from fink_lib.archive.rows import Row
from fink_lib.archive.tables import FAMILY as DATA_FAMILY
from fink_lib.archive.tables import JOURNAL_TABLE, REGISTRY_TABLE, ArchiveTable
from fink_lib.errors import DataError

if TYPE_CHECKING:
    from fink_lib.archive.hbase import HBase
    from fink_lib.config import HBaseSettings
    from fink_lib.surveys.base import Survey

FAMILY = "s"
_JSON = b"s:json"


def register(hbase: HBase, settings: HBaseSettings, tables: Sequence[ArchiveTable], survey: Survey) -> None:
    """Make sure that tables and their present layouts are there.

    Parameters
    ----------
    hbase : HBase
        The connection.
    settings : HBaseSettings
        Where HBase is.
    tables : sequence of ArchiveTable
        Which tables.
    survey : Survey
        Gives the types.
    """
    shapes = {table.name: Shape(table.families, table.splits) for table in tables}
    make_tables(hbase, settings, {REGISTRY_TABLE: Shape((FAMILY,)), JOURNAL_TABLE: Shape((DATA_FAMILY,)), **shapes})
    rows = []
    for table in tables:
        layout = table.layout(survey)
        text = json.dumps(describe(table, layout, survey), sort_keys=True).encode()
        # A fixed timestamp: what readers need of the text is a function of the key.
        rows.append(Row(_key(table.name, layout.schema_id), {_JSON: text}, 1))
    hbase.put(REGISTRY_TABLE, rows, batch_rows=1)


def describe(table: ArchiveTable, layout: Layout, survey: Survey) -> dict[str, Any]:
    """Give the registry's entry: what a row is, its key, columns with types in the order of the cell, served names."""
    return {
        "schema_id": layout.schema_id.hex(),
        "table": table.name,
        "survey": table.survey,
        "doc": table.doc,
        "key": [part.column for part in table.key.parts],
        "columns": layout.to_json(),
        "served": [
            {"name": s.name, "column": s.stored, "key": s.key, "doc": column_doc(s.name, survey)} for s in table.served
        ],
    }


def find_layout(hbase: HBase, table: str, schema_id: bytes) -> Layout:
    """Read a layout back.

    Raises
    ------
    DataError
        If the registry does not know the id.
    """
    key = _key(table, schema_id)
    found = hbase.rows(REGISTRY_TABLE, [key]).get(key)
    if found is None:
        raise DataError("unknown_schema", f"{REGISTRY_TABLE} has no layout {schema_id.hex()} for table {table}")
    return Layout.from_json(json.loads(found[0][_JSON])["columns"])


def _key(table: str, schema_id: bytes) -> bytes:
    return f"{table}_{schema_id.hex()}".encode()
