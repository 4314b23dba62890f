"""How an object changes from one alert to the next: rates and colours, computed over the alerts of an answer.

For the point *i* of one object in one band, with magnitude m and time t (days)::

    rate = (m[i] - m[i-1]) / (t[i] - t[i-1]),    sigma = sqrt(s[i]² + s[i-1]²) / (t[i] - t[i-1])

A point's colour g - r is taken with the nearest point of the other band, at most 0.3 d away (of two equally near ones
the earlier). The colour's own rate goes from one point of the band that has a colour to the next. The first point of a
band has no rate, and two points at one time have none between them: these values are missing.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fink_lib.api.columns import with_columns

Floats = npt.NDArray[np.float64]

PAIR_DAYS = 0.3
G_BAND, R_BAND = 1, 2
NEEDS = ("i:objectId", "i:jd", "i:fid", "i:magpsf", "i:sigmapsf")
"""Served columns that the evolution is computed from."""

EVOLUTION = (
    "v:rate",
    "v:sigma(rate)",
    "v:g-r",
    "v:sigma(g-r)",
    "v:rate(g-r)",
    "v:sigma(rate(g-r))",
)
"""Columns that :func:`add_evolution` appends: mag per day, mag, mag per day, each with its error."""


def add_evolution(table: pa.Table) -> pa.Table:
    """Append the columns of :data:`EVOLUTION`.

    Parameters
    ----------
    table : pyarrow.Table
        All alerts of one or several objects, in any order, with the columns of :data:`NEEDS`.
    """
    time, magnitude, error = (_floats(table, name) for name in ("i:jd", "i:magpsf", "i:sigmapsf"))
    band = np.nan_to_num(_floats(table, "i:fid"), nan=0).astype(int)
    found = {name: np.full(table.num_rows, np.nan) for name in EVOLUTION}
    for rows in _objects(table, time):
        own_band, own_time = band[rows], time[rows]
        colour, colour_error = _colours(own_time, own_band, magnitude[rows], error[rows])
        found["v:g-r"][rows], found["v:sigma(g-r)"][rows] = colour, colour_error
        for one in np.unique(own_band):
            same = rows[own_band == one]
            rate, sigma = _rates(time[same], magnitude[same], error[same])
            found["v:rate"][same], found["v:sigma(rate)"][same] = rate, sigma
            coloured = (own_band == one) & np.isfinite(colour)
            rate, sigma = _rates(own_time[coloured], colour[coloured], colour_error[coloured])
            found["v:rate(g-r)"][rows[coloured]], found["v:sigma(rate(g-r))"][rows[coloured]] = rate, sigma
    added = {name: pa.array(values, pa.float64(), mask=~np.isfinite(values)) for name, values in found.items()}
    return with_columns(table, added)


def _objects(table: pa.Table, time: Floats) -> Iterator[npt.NDArray[np.int64]]:
    """Give the rows of each object in order of time."""
    names = np.array(table.column("i:objectId").to_pylist(), dtype=object)
    order = np.argsort(time, kind="stable")
    for name in dict.fromkeys(names.tolist()):
        yield order[names[order] == name]


def _rates(time: Floats, value: Floats, error: Floats) -> tuple[Floats, Floats]:
    rate, sigma = np.full(len(time), np.nan), np.full(len(time), np.nan)
    step = np.diff(time)
    moved = np.flatnonzero(step > 0)
    rate[moved + 1] = np.diff(value)[moved] / step[moved]
    sigma[moved + 1] = np.hypot(error[1:], error[:-1])[moved] / step[moved]
    return rate, sigma


def _colours(time: Floats, band: npt.NDArray[np.int64], magnitude: Floats, error: Floats) -> tuple[Floats, Floats]:
    colour, sigma = np.full(len(time), np.nan), np.full(len(time), np.nan)
    for own, other, sign in ((G_BAND, R_BAND, 1.0), (R_BAND, G_BAND, -1.0)):
        mine, theirs = np.flatnonzero(band == own), np.flatnonzero(band == other)
        if not len(mine) or not len(theirs):
            continue
        after = np.searchsorted(time[theirs], time[mine])
        before = np.clip(after - 1, 0, None)
        after = np.clip(after, None, len(theirs) - 1)
        later_is_nearer = abs(time[theirs][after] - time[mine]) < abs(time[theirs][before] - time[mine])
        partner = theirs[np.where(later_is_nearer, after, before)]
        near = abs(time[partner] - time[mine]) <= PAIR_DAYS
        mine, partner = mine[near], partner[near]
        colour[mine] = sign * (magnitude[mine] - magnitude[partner])
        sigma[mine] = np.hypot(error[mine], error[partner])
    return colour, sigma


def _floats(table: pa.Table, name: str) -> Floats:
    column = table.column(name).cast(pa.float64())
    return np.asarray(column.to_numpy(), dtype=np.float64)
