"""Light curves longer than a packet: alerts whose history goes on with what the archive holds of the same object.

A ZTF packet looks back 30 days. Science cases that need more are computed at the end of the night on alerts that this
makes; inside a stream no archive is asked.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.science.columns import one_chunk
from fink_lib.science.history import ragged_ranges, to_floats, to_ints
from fink_lib.science.layout import Layout

Ints = npt.NDArray[np.int64]


def with_archive(alerts: pa.Table, archive: pa.Table, layout: Layout, object_field: str = "objectId") -> pa.Table:
    """Put earlier points of the archive before the history of each alert.

    An alert takes the points of its own object that are older than its own history, and nothing else: what the archive
    has of other objects, or lacks, changes nothing.

    Parameters
    ----------
    alerts : pyarrow.Table
        Columns of the survey's ``alert_schema``.
    archive : pyarrow.Table
        Earlier alerts, with the object, their own measurement and their history; further columns are ignored.
    layout : Layout
        Which columns these are.
    object_field : str
        Column of the object's name.

    Returns
    -------
    pyarrow.Table
        The alerts, with longer histories; alerts without points in the archive are as they were.
    """
    kind = alerts.schema.field(layout.previous).type
    named, points, time = _archive_points(archive, layout, object_field, kind.value_type)
    previous = one_chunk(alerts.column(layout.previous))
    lengths = pc.fill_null(pc.list_value_length(previous), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    flat = previous.flatten()
    oldest = _oldest(
        flat, lengths, to_floats(pc.struct_field(one_chunk(alerts.column(layout.own)), layout.time)), layout
    )

    begin, end = _places(named, time, one_chunk(alerts.column(object_field)), oldest)
    counts = end - begin
    total = counts + lengths
    offsets = np.concatenate(([0], np.cumsum(total))).astype(np.int64)
    picks = np.empty(int(offsets[-1]), dtype=np.int64)
    picks[ragged_ranges(offsets[:-1], counts)] = ragged_ranges(begin, counts)
    picks[ragged_ranges(offsets[:-1] + counts, lengths)] = len(points) + np.arange(len(flat))
    entries = pa.concat_arrays([points, flat]).take(pa.array(picks))
    longer = pa.ListArray.from_arrays(
        pa.array(offsets, pa.int32(), mask=np.append((total == 0) & np.asarray(previous.is_null()), False)), entries
    )
    return alerts.set_column(alerts.schema.get_field_index(layout.previous), layout.previous, longer.cast(kind))


def _archive_points(
    archive: pa.Table, layout: Layout, object_field: str, entry: pa.StructType
) -> tuple[pa.Array, pa.StructArray, npt.NDArray[np.float64]]:
    """Give all points of the archive, each (object, time, band) once, sorted by object and time."""
    names = one_chunk(archive.column(object_field))
    previous = one_chunk(archive.column(layout.previous))
    own = _as_entries(one_chunk(archive.column(layout.own)), entry)
    points = pa.concat_arrays([own, _as_entries(previous.flatten(), entry)])
    objects = pa.concat_arrays([names, names.take(pc.list_parent_indices(previous))])
    time = to_floats(pc.struct_field(points, layout.time))
    band = to_ints(pc.struct_field(points, layout.band), -1)
    # An alert's own measurement knows more than what later packets repeat of it: it comes first and stays.
    repeated = np.arange(len(points)) >= len(own)
    code = to_ints(objects.dictionary_encode().indices, -1)
    order = np.lexsort((repeated, band, time, code))
    order = order[np.isfinite(time[order])]
    new = np.zeros(len(order), dtype=bool)
    new[:1] = True
    for key in (code, time, band):
        new[1:] |= key[order][1:] != key[order][:-1]
    rows = pa.array(order[new])
    return objects.take(rows), points.take(rows), time[order[new]]


def _as_entries(structs: pa.StructArray, entry: pa.StructType) -> pa.StructArray:
    """Give measurements the fields of a history entry; fields that they lack are null."""
    fields = [
        pc.struct_field(structs, field.name).cast(field.type)
        if structs.type.get_field_index(field.name) >= 0
        else pa.nulls(len(structs), field.type)
        for field in entry
    ]
    return pa.StructArray.from_arrays(fields, fields=list(entry))


def _oldest(
    flat: pa.StructArray, lengths: Ints, own: npt.NDArray[np.float64], layout: Layout
) -> npt.NDArray[np.float64]:
    """Give the time of the first entry of each alert's history, or its own time."""
    oldest = own.copy()
    owner = np.repeat(np.arange(len(lengths)), lengths)
    np.fmin.at(oldest, owner, to_floats(pc.struct_field(flat, layout.time)))
    return oldest


def _places(
    named: pa.Array, time: npt.NDArray[np.float64], objects: pa.Array, oldest: npt.NDArray[np.float64]
) -> tuple[Ints, Ints]:
    """Give the range of archive points of each alert's object that are older than its history."""
    known = pc.unique(named)
    code = to_ints(pc.index_in(named, value_set=known), -1)
    starts = np.searchsorted(code, np.arange(len(known) + 1))
    wanted = to_ints(pc.index_in(objects, value_set=known), -1)
    begin = np.where(wanted >= 0, starts[np.maximum(wanted, 0)], 0) if len(known) else np.zeros(len(objects), np.int64)
    stop = np.where(wanted >= 0, starts[np.maximum(wanted, 0) + 1], 0) if len(known) else begin
    end = np.array(
        [low + np.searchsorted(time[low:high], first) for low, high, first in zip(begin, stop, oldest, strict=True)],
        dtype=np.int64,
    )
    return begin.astype(np.int64), end
