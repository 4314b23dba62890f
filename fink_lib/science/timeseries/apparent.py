"""Apparent light curves of one band: the points of each alert that show the source itself, with its reference flux."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fink_lib.science.models.lightcurves import LightCurves
from fink_lib.science.photometry import apparent_magnitude
from fink_lib.science.timeseries.segments import Floats, Ints, Segments

ENTRIES = ("magpsf", "sigmapsf", "magnr", "sigmagnr", "sign")
"""Entries of the light curves that apparent magnitudes need."""

HISTORY_INPUTS = tuple(f"history.{name}" for name in ("magpsf", "sigmapsf", "magnr", "sigmagnr", "isdiffpos"))
"""What a module declares for them."""


@dataclass(frozen=True)
class BandCurves:
    """Apparent light curves in one band, of the alerts that have enough points.

    Parameters
    ----------
    alert : ndarray of int64, shape (curves,)
        The alert that each curve belongs to, increasing.
    curves : Segments
        Where each curve lies.
    time, magnitude, error : ndarray, shape (points,)
        JD and mag, finite; errors above 0.
    """

    alert: Ints
    curves: Segments
    time: Floats
    magnitude: Floats
    error: Floats


def apparent_curves(curves: LightCurves, band: int, least: int) -> BandCurves:
    """Give the apparent light curves of one band.

    Parameters
    ----------
    curves : LightCurves
        With the entries of :data:`ENTRIES`.
    band : int
        1 g, 2 r.
    least : int
        Alerts with fewer points than this, at least 1, are left out.
    """
    magnitude, error = apparent_magnitude(*(curves.entries[name] for name in ENTRIES))
    usable = (curves.band == band) & np.isfinite(magnitude) & np.isfinite(error) & (error > 0)
    counts = curves.count(usable)
    enough = counts >= max(least, 1)
    usable &= enough[curves.alert]
    alert: Ints = np.flatnonzero(enough).astype(np.int64)
    return BandCurves(alert, Segments(counts[alert]), curves.time_jd[usable], magnitude[usable], error[usable])
