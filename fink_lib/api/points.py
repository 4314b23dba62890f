"""Points of an object's history that are no alerts: upper limits, and points of bad quality.

They come inside the packets of later alerts, the same point with each of them; an answer has each once.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.api.alerts import ARCHIVE, LAKE, Found, Newest, named, newest_first, with_source
from fink_lib.api.answer import Rows
from fink_lib.api.scans import nights_of
from fink_lib.api.stores import Stores
from fink_lib.archive.rows import columns_of, select, serve
from fink_lib.archive.tables import ArchiveTable, archive_table

TABLES = {"ztf.uppervalid": "badquality", "ztf.upper": "upperlim"}
"""Tables of the archive, and what their points are called in :data:`TAG`."""
TAG, VALID = "d:tag", "valid"
KEY = ("i:objectId", "i:jd", "i:fid")
"""What tells one point from another."""
NO_ID = -1
MOST_ALERTS = 100_000


def with_points(stores: Stores, objects: Sequence[str], rows: Rows, found: Found) -> Rows:
    """Add the other points of objects to the rows of their alerts.

    Parameters
    ----------
    stores : Stores
        Where the data are.
    objects : sequence of str
        Exact names.
    rows : Rows
        The alerts as they are answered.
    found : Found
        The same as they were found, with the columns of :data:`KEY`.

    Raises
    ------
    TransientError
        If there are archived nights and HBase is away.
    """
    archived = stores.archived_nights()
    parts = []
    for name, tag in TABLES.items():
        table = archive_table(stores.lake.survey, name)
        parts.append(_tagged(_live(stores, table, objects, archived), LAKE, tag))
        if archived:
            parts.append(_tagged(_archived(stores, table, objects, archived), ARCHIVE, tag))
    points = _once(pa.concat_tables(parts, promote_options="permissive"), found.table)
    alerts = rows.table.append_column(TAG, pa.array([VALID] * rows.table.num_rows, pa.string()))
    table = newest_first([alerts, points.select([name for name in points.column_names if name in alerts.column_names])])
    total = (rows.table.num_rows if rows.total is None else rows.total) + points.num_rows
    known = (*(rows.known or rows.table.column_names), TAG)
    return replace(rows, table=table, total=total, known=known, always=(*rows.always, TAG))


def _live(stores: Stores, table: ArchiveTable, objects: Sequence[str], archived: Collection[str]) -> pa.Table:
    paths = [tuple(path.split(".")) for path in table.lake_paths]
    science = stores.live.science(
        Newest(named(objects), MOST_ALERTS), paths, archived, lambda block: block.of_objects(objects)
    )
    if not science.num_rows:
        return _entries(stores.empty_archive_rows(table.name))
    chosen = columns_of(table, select(table, science.take(pa.array(np.arange(science.num_rows)[::-1]))))
    return _entries(serve(table, pa.table({column.name: chosen[column.name] for column in table.stored})))


def _archived(stores: Stores, table: ArchiveTable, objects: Sequence[str], nights: Collection[str]) -> pa.Table:
    parts = [_entries(stores.empty_archive_rows(table.name))]
    with stores.archive(table.name).borrow() as (_, reader):
        for name in objects:
            rows = list(reader.find(name))
            jds = [float(table.key.parse(key)[1]) for key, _ in rows]
            of_nights = zip(rows, nights_of(stores.lake.survey, jds), strict=True)
            parts.append(reader.table_of(iter([row for row, night in of_nights if night in nights])))
    return pa.concat_tables(parts, promote_options="permissive")


def _entries(served: pa.Table) -> pa.Table:
    """Give a row for each entry of the lists of an alert."""
    lists = [name for name in served.column_names if pa.types.is_list(served.schema.field(name).type)]
    parents = pc.list_parent_indices(served.column(lists[0]))
    columns = {
        name: pc.list_flatten(served.column(name)) if name in lists else served.column(name).take(parents)
        for name in served.column_names
    }
    return pa.table(columns)


def _tagged(points: pa.Table, source: str, tag: str) -> pa.Table:
    number = points.num_rows
    points = with_source(points, source).append_column(TAG, pa.array([tag] * number, pa.string()))
    return points.append_column("i:candid", pa.array([NO_ID] * number, pa.int64()))


def _once(points: pa.Table, alerts: pa.Table) -> pa.Table:
    """Keep the last of the points that are the same, and none that is an alert."""
    both = pa.concat_tables([points.select(KEY), alerts.select(KEY)], promote_options="permissive").combine_chunks()
    codes = pc.dictionary_encode(both.column(KEY[0]).combine_chunks()).indices.to_numpy(zero_copy_only=False)
    jd = both.column(KEY[1]).to_numpy()
    band = pc.fill_null(both.column(KEY[2]).cast(pa.int64()), 0).to_numpy()
    marks = np.rec.fromarrays([codes, jd, band])
    _, last = np.unique(marks[::-1], return_index=True)
    kept = len(marks) - 1 - last
    return points.take(pa.array(np.sort(kept[kept < points.num_rows])))
