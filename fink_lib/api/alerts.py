"""Alerts of an answer: archived nights from HBase, the others from the lake, one row per alert.

Each night is read from exactly one place. An archived night comes from HBase. Any other night, the present one or one
that a late alert has opened again, comes from the lake, and whatever HBase may hold of it is passed over.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.api.column_sets import MAIN_TABLE, ORDER, SOURCE_COLUMN, needed_columns, tells_evolution
from fink_lib.api.computed import computed_columns
from fink_lib.api.evolution import EVOLUTION, NEEDS, add_evolution
from fink_lib.api.missing import filled_columns
from fink_lib.api.scans import archived_objects
from fink_lib.api.stores import Stores
from fink_lib.archive.rows import serve, stored_for
from fink_lib.archive.tables import archive_table

if TYPE_CHECKING:
    from fink_lib.api.live import Choice, Within

ARCHIVE, LAKE = "archive", "lake"
LIST_COLUMNS = ("d:lc_features_g", "d:lc_features_r")
"""Structs that clients read as JSON arrays of their values."""

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Test = Callable[[pa.Table], Bools]
"""Tells of each row of a table of served columns whether it is wanted."""


@dataclass(frozen=True)
class Found:
    """Alerts of an answer, in its order.

    Parameters
    ----------
    table : pyarrow.Table
        Served columns, and :data:`~fink_lib.api.column_sets.SOURCE_COLUMN`.
    total : int
        How many alerts there are; the table holds the first of them.
    sources : mapping of str to int
        Alerts by the place they came from.
    resume : str, optional
        Where to go on, if a scan ended before it had seen everything.
    """

    table: pa.Table
    total: int
    sources: Counter[str]
    resume: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """What an answer says of its sources."""
        return {"Fink-Sources": ", ".join(f"{place}={count}" for place, count in sorted(self.sources.items()))}


class Newest:
    """Chooses the newest rows that pass a test, and counts all that do.

    Parameters
    ----------
    test : callable
        Which rows.
    most : int
        How many at most.
    """

    def __init__(self, test: Test, most: int) -> None:
        self._test = test
        self._most = most
        self.total = 0

    def __call__(self, index: pa.Table) -> Ints:
        """Give the numbers of the rows, newest first."""
        rows = np.flatnonzero(self._test(index))
        self.total = len(rows)
        jd, candid = (index.column(name).take(pa.array(rows)).to_numpy() for name in ORDER)
        chosen: Ints = rows[np.lexsort((candid, jd))[::-1][: self._most]]
        return chosen


def find_objects(
    stores: Stores, objects: Sequence[str], most: int, wanted: Collection[str] | None = None, evolution: bool = True
) -> Found:
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
    evolution : bool
        Whether rates and colours are among the columns.

    Raises
    ------
    TransientError
        If there are archived nights and HBase is away.
    """
    needed = needed_columns(stores.lake.survey, "full", wanted, evolution)
    # The states first: a night that is archived meanwhile is then read from the lake, where it still is.
    archived = stores.archived_nights()
    newest = Newest(named(objects), most)
    live = stores.live.packed(newest, archived, lambda block: block.of_objects(objects))
    sources = Counter({LAKE: newest.total})
    with stores.archive(MAIN_TABLE).borrow() as (hbase, reader):  # it connects when it is asked for rows
        old: list[bytes] = []
        if archived:
            old, sources[ARCHIVE] = archived_objects(stores, hbase, objects, archived, most)
        cells, places = [*live, *old], np.repeat([LAKE, ARCHIVE], [len(live), len(old)])
        jd, candid = (column.to_numpy() for column in reader.decode(cells, ORDER).select(ORDER).columns)
        chosen = np.lexsort((candid, jd))[::-1][:most]
        table = reader.decode([cells[place] for place in chosen.tolist()], needed)
    table = table.append_column(SOURCE_COLUMN, pa.array(places[chosen], pa.string()))
    return Found(table, sources.total(), sources)


def named(objects: Sequence[str]) -> Test:
    """Make the test for the alerts of some objects."""
    names = pa.array(list(objects), pa.string())
    return lambda rows: pc.is_in(rows.column("i:objectId"), value_set=names).to_numpy()


def newest_first(parts: Sequence[pa.Table]) -> pa.Table:
    """Put tables of alerts together, newest first."""
    table = pa.concat_tables(parts, promote_options="permissive")
    return table.sort_by([(name, "descending") for name in ORDER])


def from_lake(
    stores: Stores,
    choose: Choice,
    archived: Collection[str],
    needed: Collection[str] | None,
    within: Within | None = None,
) -> pa.Table:
    """Read alerts of all nights but the archived ones, in the columns that the archive would serve."""
    declared = archive_table(stores.lake.survey, MAIN_TABLE)
    found = stores.live.find(choose, stored_for(declared, needed), archived, within)
    # most objects have no alert in the nights that are not archived
    return serve(declared, found, needed) if found.num_rows else stores.no_alerts(needed)


def with_source(table: pa.Table, source: str) -> pa.Table:
    """Say of each row where it comes from."""
    return table.append_column(SOURCE_COLUMN, pa.array([source] * table.num_rows, pa.string()))


def rendered(table: pa.Table, strict: bool, wanted: Collection[str] | None = None, evolution: bool = False) -> pa.Table:
    """Make served columns ready for a client: computed columns, Fink's missing values, nested values as JSON text.

    Parameters
    ----------
    table : pyarrow.Table
        Served columns.
    strict : bool
        True keeps every missing value null.
    wanted : collection of str, optional
        Columns of the answer; all without.
    evolution : bool
        Whether rates and colours are among the columns; they are computed over the rows of the table.
    """
    columns = dict(zip(table.column_names, table.columns, strict=True))
    # one table at the end: each step of its own would make all columns anew
    shown = columns | computed_columns(table, wanted)
    if evolution and tells_evolution(wanted) and EVOLUTION[0] not in columns:
        evolved = add_evolution(table.select(NEEDS))
        shown |= {name: evolved.column(name) for name in EVOLUTION}
    for name, column in columns.items():
        if pa.types.is_struct(column.type):
            shown[name] = _json_text(column, as_list=name in LIST_COLUMNS)
    if not strict:
        shown |= filled_columns(shown)
    for name, column in columns.items():
        if pa.types.is_map(column.type):
            shown[name] = _json_text(column, as_list=False)
    return pa.Table.from_arrays(list(shown.values()), names=list(shown))


def _json_text(column: pa.ChunkedArray, as_list: bool) -> pa.Array:
    """Write maps and structs as JSON objects, or as JSON arrays of their values; null stays null."""

    def write(value: Any) -> str:
        entries = {name: _finite(item) for name, item in dict(value).items()}
        return json.dumps(list(entries.values()) if as_list else entries)

    return pa.array([None if value is None else write(value) for value in column.to_pylist()], pa.string())


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
