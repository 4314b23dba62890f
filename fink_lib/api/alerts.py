"""All alerts of an object: archived nights from HBase, the others from the lake, one row per alert.

Each night is read from exactly one place. An archived night comes from HBase. Any other night, the present one or one
that a late alert has opened again, comes from the lake, and whatever HBase may hold of it is passed over.
"""

from __future__ import annotations

import heapq
import json
import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.api.computed import COMPUTED, add_computed
from fink_lib.api.evolution import EVOLUTION, NEEDS, add_evolution
from fink_lib.api.missing import STATUS_COLUMN, render_missing
from fink_lib.api.stores import Stores
from fink_lib.archive.rows import serve, stored_for
from fink_lib.archive.tables import PACKED, ArchiveTable, archive_table
from fink_lib.surveys import Survey

MAIN_TABLE = "ztf"
SOURCE_COLUMN = "v:source"
ARCHIVE, LAKE = "archive", "lake"
LIST_COLUMNS = ("d:lc_features_g", "d:lc_features_r")
"""Structs that clients read as JSON arrays of their values."""


@dataclass(frozen=True)
class Found:
    """Alerts of some objects, newest first.

    Parameters
    ----------
    table : pyarrow.Table
        Served columns, and :data:`SOURCE_COLUMN`.
    total : int
        How many alerts there are; the table holds the newest of them.
    sources : mapping of str to int
        Alerts by the place they came from.
    """

    table: pa.Table
    total: int
    sources: Counter[str]


def known_columns(stores: Stores) -> tuple[str, ...]:
    """Name every column of an answer about alerts, in order."""
    served = archive_table(stores.lake.survey, MAIN_TABLE).served
    return (*(column.name for column in served), SOURCE_COLUMN, *COMPUTED, *EVOLUTION)


def find_objects(stores: Stores, objects: Sequence[str], most: int, wanted: Collection[str] | None = None) -> Found:
    """Read the newest alerts of some objects.

    Parameters
    ----------
    stores : Stores
        Where the data are.
    objects : sequence of str
        Exact names.
    most : int
        How many alerts to read at most.
    wanted : collection of str, optional
        Columns of the answer; the table then holds them and what they are made of. All without.

    Raises
    ------
    TransientError
        If there are archived nights and HBase is away.
    """
    declared = archive_table(stores.lake.survey, MAIN_TABLE)
    needed = _needed(wanted)
    # The states first: a night that is archived meanwhile is then read from the lake, where it still is.
    archived = stores.archived_nights()
    live = _from_lake(stores, declared, objects, archived, needed)
    sources = Counter({LAKE: live.num_rows})
    parts = [_with_source(live, LAKE)]
    if archived:
        old, total = _from_archive(stores, objects, archived, most, needed)
        sources[ARCHIVE] = total
        parts.append(_with_source(old, ARCHIVE))
    table = pa.concat_tables(parts, promote_options="permissive")
    table = table.sort_by([("i:jd", "descending"), ("i:candid", "descending")]).slice(0, most)
    return Found(table, sources.total(), sources)


def _needed(wanted: Collection[str] | None) -> set[str] | None:
    if wanted is None:
        return None
    made_of = {name for column in wanted if column in COMPUTED for name in COMPUTED[column].needs}
    if tells_evolution(wanted):
        made_of |= set(NEEDS)
    return {"i:jd", "i:candid", STATUS_COLUMN, *wanted, *made_of}


def tells_evolution(wanted: Collection[str] | None) -> bool:
    """Tell whether an answer holds a column that depends on the object's other alerts."""
    return wanted is None or any(name in EVOLUTION for name in wanted)


def _from_lake(
    stores: Stores,
    declared: ArchiveTable,
    objects: Sequence[str],
    archived: Collection[str],
    needed: Collection[str] | None,
) -> pa.Table:
    """Read alerts of all nights but the archived ones, in the columns that the archive would serve."""
    names = stored_for(declared, needed)
    stored = [column for column in declared.stored if names is None or column.name in names]
    roots = dict.fromkeys((stores.lake.survey.object_field, *(column.path[0] for column in stored)))
    science = stores.live.find(objects, list(roots), archived)
    columns = {}
    for column in stored:
        values = science.column(column.path[0])
        columns[column.name] = pc.struct_field(values, list(column.path[1:])) if len(column.path) > 1 else values
    return serve(declared, pa.table(columns), needed)


def _from_archive(
    stores: Stores, objects: Sequence[str], nights: Collection[str], most: int, needed: Collection[str] | None
) -> tuple[pa.Table, int]:
    """Read the newest archived alerts, and count all; rows of other nights than `nights` do not count."""
    newest: list[tuple[float, bytes]] = []
    total = 0
    with stores.archive(MAIN_TABLE).borrow() as (hbase, reader):
        for name in objects:
            rows = hbase.scan_prefix(MAIN_TABLE, reader.table.key.prefix(name), [PACKED])
            jds = [float(reader.table.key.parse(key)[1]) for key, _ in rows]
            found = zip(jds, _nights(stores.lake.survey, jds), rows, strict=True)
            kept = [(jd, cells[PACKED]) for jd, night, (_, cells) in found if night in nights]
            total += len(kept)
            newest = heapq.nlargest(most, [*newest, *kept])
        return reader.decode([cell for _, cell in newest], needed), total


def _nights(survey: Survey, jds: Sequence[float]) -> list[str]:
    candidate = pa.StructArray.from_arrays([pa.array(jds, pa.float64())], names=["jd"])
    return [str(night) for night in survey.nights(pa.table({"candidate": candidate})).to_pylist()]


def rendered(table: pa.Table, strict: bool, wanted: Collection[str] | None = None) -> pa.Table:
    """Make served columns ready for a client: computed columns, Fink's missing values, nested values as JSON text.

    Parameters
    ----------
    table : pyarrow.Table
        Served columns.
    strict : bool
        True keeps every missing value null.
    wanted : collection of str, optional
        Columns of the answer; all without.
    """
    table = add_computed(table, wanted)
    if tells_evolution(wanted):
        table = add_evolution(table)
    for place, (name, column) in enumerate(zip(table.column_names, table.columns, strict=True)):
        if pa.types.is_struct(column.type):
            table = table.set_column(place, name, _json_text(column, as_list=name in LIST_COLUMNS))
    if not strict:
        table = render_missing(table)
    for place, (name, column) in enumerate(zip(table.column_names, table.columns, strict=True)):
        if pa.types.is_map(column.type):
            table = table.set_column(place, name, _json_text(column, as_list=False))
    return table


def _json_text(column: pa.ChunkedArray, as_list: bool) -> pa.Array:
    """Write maps and structs as JSON objects, or as JSON arrays of their values; null stays null."""

    def write(value: Any) -> str:
        entries = {name: _finite(item) for name, item in dict(value).items()}
        return json.dumps(list(entries.values()) if as_list else entries)

    return pa.array([None if value is None else write(value) for value in column.to_pylist()], pa.string())


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _with_source(table: pa.Table, source: str) -> pa.Table:
    return table.append_column(SOURCE_COLUMN, pa.array([source] * table.num_rows, pa.string()))
