"""Table ``fink.schema_registry``: what the bytes of a packed cell mean, kept beside them.

Row key: the table's name and the hex of the schema id. A layout is written before the first row that uses it and never
changes, since its id is the digest of its content.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from fink_lib.archive.codec import Layout
from fink_lib.archive.rows import Row
from fink_lib.archive.tables import REGISTRY_TABLE, ArchiveTable
from fink_lib.errors import DataError

if TYPE_CHECKING:
    from fink_lib.archive.hbase import HBase
    from fink_lib.surveys.base import Survey

FAMILY = "s"
_JSON = b"s:json"


def register(hbase: HBase, table: ArchiveTable, survey: Survey) -> Layout:
    """Make sure that the table and its present layout are there.

    Returns
    -------
    Layout
        The layout to write with.
    """
    layout = table.layout(survey)
    hbase.ensure_table(REGISTRY_TABLE, (FAMILY,))
    hbase.ensure_table(table.name, table.families)
    text = json.dumps(describe(table, layout), sort_keys=True).encode()
    # A fixed timestamp: the text is a function of the key, so writing it again changes nothing.
    hbase.put(REGISTRY_TABLE, [Row(_key(table.name, layout.schema_id), {_JSON: text}, 1)], batch_rows=1)
    return layout


def describe(table: ArchiveTable, layout: Layout) -> dict[str, Any]:
    """Give the registry's entry: columns with types and their place in the packed cell, own cells, served names."""
    return {
        "schema_id": layout.schema_id.hex(),
        "table": table.name,
        "survey": table.survey,
        "columns": layout.to_json(),
        "hot": list(table.hot),
        "served": [{"name": s.name, "column": s.stored, "key": s.key} for s in table.served],
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
