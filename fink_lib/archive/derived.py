"""Columns of the archive that the lake does not hold as they are: made from a slice of ``science``, row by row.

Each function takes rows of ``science`` and gives them with more columns; one may leave rows out. What it makes of a row
depends on that row alone, so that the same alert gives the same cells in any company.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.archive.keys import JD_END, JD_LEAST
from fink_lib.archive.sky import pixel_of
from fink_lib.lake.tables import PARTITION

LIGHT_MODULES = ("simbad", "nalerthist")
"""Modules whose status a light row keeps: they fill its columns."""
RB_LEAST = 0.55


def at(rows: pa.Table, path: Sequence[str]) -> pa.Array:
    """Give a column, or a field inside a struct, in one piece; a field of a null struct is null."""
    column = rows.column(path[0])
    values = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    for name in path[1:]:
        values = pc.struct_field(values, name)
    return values


def with_light_status(science: pa.Table) -> pa.Table:
    """Add ``light_status``: of ``fink_status`` only what explains the columns of a light row."""
    status = at(science, ("fink_status",))
    words = [pc.map_lookup(status, pa.scalar(module), "first") for module in LIGHT_MODULES]
    size = len(status)
    keys = pa.array(list(LIGHT_MODULES) * size, pa.string())
    order = np.arange(size * len(words)).reshape(len(words), size).T.ravel()  # row by row instead of module by module
    items = pa.concat_arrays([word.cast(pa.string()) for word in words]).take(pa.array(order))
    offsets = pa.array(np.arange(0, size * len(words) + 1, len(words), dtype=np.int32))
    return science.append_column("light_status", pa.MapArray.from_arrays(offsets, keys, items))


def with_pixel(science: pa.Table) -> pa.Table:
    """Add ``pixel`` and ``part`` (:mod:`fink_lib.archive.sky`), and ``first_jd``: first detection, else alert time."""
    science = with_light_status(science)
    ra, dec = (np.asarray(at(science, ("candidate", name)).to_numpy(zero_copy_only=False)) for name in ("ra", "dec"))
    pixels, parts = pixel_of(ra.astype(float), dec.astype(float))
    jd, first = at(science, ("candidate", "jd")), at(science, ("candidate", "jdstarthist"))
    inside = pc.and_(pc.greater_equal(first, JD_LEAST), pc.less(first, JD_END - 1))
    first_jd = pc.if_else(pc.fill_null(inside, False), first, jd)
    for name, values in (("pixel", pa.array(pixels)), ("part", pa.array(parts)), ("first_jd", first_jd)):
        science = science.append_column(name, values)
    return science


def with_reference(science: pa.Table) -> pa.Table:
    """Add ``reference``: where the lake keeps the alert's images."""
    nights, ids = at(science, (PARTITION,)), pc.cast(at(science, ("candid",)), pa.string())
    batches = pc.fill_null(at(science, ("ingest", "batch")), "")
    texts = pc.binary_join_element_wise("cutouts/ztf/night=", nights, "#", batches, "#", ids, "")
    return science.append_column("reference", texts)


@dataclass(frozen=True)
class CutoutPlace:
    """Where table ``cutouts`` of the lake has the images of an alert: its night, its batch, its id."""

    night: str
    batch: str
    candid: int


def cutout_place(reference: str) -> CutoutPlace:
    """Read what :func:`with_reference` wrote."""
    folder, batch, candid = reference.split("#")
    return CutoutPlace(folder.rpartition("=")[2], batch, int(candid))


def upper_limits(science: pa.Table) -> pa.Table:
    """Keep the alerts whose last history entry has no magnitude; add ``points``: all such entries, field by field."""
    return _points(science, ("jd", "fid", "diffmaglim"), _has_no_magnitude)


def bad_quality(science: pa.Table) -> pa.Table:
    """Keep the alerts whose last history entry is a point with magnitude that fails the cuts; add all such points."""
    names = ("jd", "fid", "diffmaglim", "magpsf", "sigmapsf", "magnr", "sigmagnr", "isdiffpos", "distnr")
    return _points(science, names, _fails_the_cuts)


def _has_no_magnitude(entries: pa.StructArray) -> pa.Array:
    magnitude = pc.struct_field(entries, "magpsf")
    return pc.or_(pc.is_null(magnitude), pc.fill_null(pc.is_nan(magnitude), False))


def _fails_the_cuts(entries: pa.StructArray) -> pa.Array:
    rb, nbad = (pc.struct_field(entries, name) for name in ("rb", "nbad"))
    good = pc.and_(pc.fill_null(pc.greater_equal(rb, RB_LEAST), False), pc.fill_null(pc.equal(nbad, 0), False))
    return pc.and_(pc.invert(_has_no_magnitude(entries)), pc.invert(good))


def _points(science: pa.Table, names: Sequence[str], chosen: Callable[[pa.StructArray], pa.Array]) -> pa.Table:
    histories = at(science, ("prv_candidates",))
    entries = histories.flatten()
    takes = chosen(entries).to_numpy(zero_copy_only=False).astype(bool)
    lengths = pc.fill_null(pc.list_value_length(histories), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    ends = np.cumsum(lengths)
    before = np.concatenate(([0], np.cumsum(takes)))
    last = np.zeros(len(lengths), bool)
    filled = lengths > 0
    last[filled] = takes[ends[filled] - 1]
    counts = (before[ends] - before[ends - lengths])[last]
    rows = np.repeat(last, lengths) & takes
    kept = entries.filter(pa.array(rows))
    offsets = pa.array(np.concatenate(([0], np.cumsum(counts))).astype(np.int32))
    lists = [pa.ListArray.from_arrays(offsets, pc.struct_field(kept, name)) for name in names]
    fields = [pa.field(name, column.type) for name, column in zip(names, lists, strict=True)]
    points = pa.StructArray.from_arrays(lists, fields=fields)
    return science.drop_columns(["prv_candidates"]).filter(pa.array(last)).append_column("points", points)
