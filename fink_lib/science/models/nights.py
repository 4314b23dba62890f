"""Light curves averaged per night and band, in arrays of one fixed width.

The width is fixed and not that of the longest light curve of the batch: a sum over a row must not be rounded
differently because of another alert.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fink_lib.science.models.lightcurves import LightCurves, fluxcal

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

WIDTH = 32
"""Nights that are kept: a packet looks 30 days back."""

BANDS = (1, 2)
"""g and r; i has no public alerts of its own and is left out."""

ENTRIES = ("magpsf", "sigmapsf", "sign")
"""What the light curves must carry."""

MINIMUM_ERROR_MAG = 0.01
"""Below this the photometric calibration decides (Masci et al. 2019, PASP 131, 018003, section 6.4)."""


@dataclass(frozen=True)
class Nights:
    """Detections of each alert, night by night.

    Parameters
    ----------
    count : ndarray of int64, shape (alerts,)
        Nights with a detection, at most :data:`WIDTH`; these come first in each row.
    time_jd : ndarray, shape (alerts, WIDTH, 2)
        Mean time of the night's detections in g and in r; NaN without any.
    flux, error : ndarray, shape (alerts, WIDTH, 2)
        Signed FLUXCAL, weighted with 1/error^2, and its error; NaN without a detection.
    """

    count: Ints
    time_jd: Floats
    flux: Floats
    error: Floats


def average_nights(curves: LightCurves) -> Nights:
    """Average the detections in g and r of each night (one UT date, as Palomar lies); the latest nights are kept.

    Parameters
    ----------
    curves : LightCurves
        With the entries of :data:`ENTRIES`.
    """
    curves = curves.where(curves.valid & np.isin(curves.band, BANDS))
    size = len(curves)
    alert = curves.alert
    night = np.floor(curves.time_jd + 0.5)
    begins = np.ones(len(alert), dtype=bool)
    begins[1:] = (np.diff(alert) != 0) | (np.diff(night) != 0)
    running = np.concatenate(([0], np.cumsum(begins)))
    total = running[curves.offsets[1:]] - running[curves.offsets[:-1]]
    slot = running[1:] - 1 - running[curves.offsets[:-1]][alert] - np.maximum(total - WIDTH, 0)[alert]
    kept = slot >= 0

    flux, error = fluxcal(
        curves.entries["magpsf"], np.maximum(curves.entries["sigmapsf"], MINIMUM_ERROR_MAG), curves.entries["sign"]
    )
    # relative to the alert, so that no digits are lost
    zero = curves.time_jd[curves.offsets[1:] - 1] if len(alert) else np.zeros(size)
    zero = np.where(curves.lengths > 0, zero, 0.0)
    place = ((alert * WIDTH + slot) * 2 + (curves.band - BANDS[0]))[kept]
    weight = 1.0 / error[kept] ** 2
    cells = size * WIDTH * 2

    def per_cell(values: Floats) -> Floats:
        summed: Floats = np.bincount(place, values, minlength=cells).astype(np.float64)
        return summed.reshape(size, WIDTH, 2)

    sums = per_cell(weight)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = per_cell(weight * flux[kept]) / sums
        days = per_cell(weight * (curves.time_jd - zero[alert])[kept]) / sums
        spread = np.where(sums > 0, 1.0 / np.sqrt(sums), np.nan)
    return Nights(np.minimum(total, WIDTH), days + zero[:, None, None], mean, spread)
