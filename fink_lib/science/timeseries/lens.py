"""How well a single lens explains a light curve: the best of a fixed grid of Paczynski shapes.

Paczynski 1986 (ApJ 304, 1): a point lens magnifies a point source by A(u) = (u² + 2) / (u sqrt(u² + 4)), with
u² = u0² + ((t - t0) / tE)². The light of the source and of what is blended with it are linear, so that each shape of
the grid needs one weighted line fit and no starting values.
"""

from __future__ import annotations

import numpy as np

from fink_lib.science.timeseries.segments import Floats, Segments

IMPACTS = (0.1, 0.4, 1.0)
"""Smallest distances u0, in Einstein radii."""

EINSTEIN_TIMES_D = (2.0, 5.0, 10.0, 20.0, 40.0, 80.0)
"""tE; the history of an alert holds 30 d."""

PEAKS = tuple(np.linspace(-0.3, 1.3, 17).tolist())
"""Time of the peak t0 in units of the curve's span; an event may peak before or after what was seen of it."""

FREE_PARAMETERS = 5
"""Source, blend, t0, tE, u0."""

POINTS_AT_ONCE = 20_000
"""Points that one pass takes, so that memory stays flat."""


def magnification(time: Floats, peak: Floats, einstein_time_d: float, impact: float) -> Floats:
    """Give A(u), shapes of `time` and `peak` broadcast.

    >>> bool(np.isclose(magnification(np.zeros(1), np.zeros(1), 10.0, 1.0)[0], 3 / np.sqrt(5)))
    True
    """
    u2 = impact**2 + ((time - peak) / einstein_time_d) ** 2
    result: Floats = (u2 + 2) / np.sqrt(u2 * (u2 + 4))
    return result


def lens_fit(time: Floats, magnitude: Floats, error: Floats, curves: Segments) -> tuple[Floats, Floats, Floats]:
    """Compare the best lens with a constant.

    Parameters
    ----------
    time, magnitude, error : ndarray, shape (points,)
        As for :func:`fink_lib.science.timeseries.variability.variability`.
    curves : Segments
        Where each curve lies.

    Returns
    -------
    gain : ndarray, shape (curves,)
        1 - χ²(lens) / χ²(constant), 0 to 1; only shapes that brighten count.
    reduced_chi2 : ndarray, shape (curves,)
        χ²(lens) per degree of freedom.
    log_time : ndarray, shape (curves,)
        log10 of the best lens' tE in days; 0 where no lens explains anything.
    """
    gain, reduced, log_time = (np.zeros(len(curves)) for _ in range(3))
    if not len(curves):
        return gain, reduced, log_time
    starts = np.flatnonzero(np.diff(curves.offsets[:-1] // POINTS_AT_ONCE, prepend=-1))
    for begin, end in zip(starts, np.append(starts[1:], len(curves)), strict=True):
        points = slice(curves.offsets[begin], curves.offsets[end])
        some = Segments(curves.lengths[begin:end])
        found = _fit(time[points], magnitude[points], error[points], some)
        gain[begin:end], reduced[begin:end], log_time[begin:end] = found
    return gain, reduced, log_time


def _fit(time: Floats, magnitude: Floats, error: Floats, curves: Segments) -> tuple[Floats, Floats, Floats]:
    owner = curves.owner
    flux = 10 ** (-0.4 * (magnitude - curves.median(magnitude)[owner]))
    weight = (flux * error * (np.log(10) / 2.5)) ** -2
    total = curves.sum(weight)
    residual = flux - (curves.sum(weight * flux) / total)[owner]
    constant = curves.sum(weight * residual**2)
    weighted = weight * residual
    start = time[curves.first]
    span = np.maximum(time[curves.last] - start, 1e-6)
    peaks = start[:, None] + span[:, None] * np.array(PEAKS)
    best, log_time = np.zeros(len(curves)), np.zeros(len(curves))
    for einstein_time_d in EINSTEIN_TIMES_D:
        for impact in IMPACTS:
            shape = magnification(time[:, None], peaks[owner], einstein_time_d, impact)
            mean = curves.sum(weight[:, None] * shape) / total[:, None]
            norm = curves.sum(weight[:, None] * shape**2) - total[:, None] * mean**2
            along = curves.sum(weighted[:, None] * shape)
            # A shape that is flat over the curve explains nothing; its norm is rounding only.
            usable = (along > 0) & (norm > 1e-9 * total[:, None] * mean**2)
            drop = np.divide(along**2, norm, out=np.zeros_like(along), where=usable)
            largest = drop.max(axis=1)
            log_time = np.where(largest > best, np.log10(einstein_time_d), log_time)
            best = np.maximum(best, largest)
    best = np.minimum(best, constant)
    gain = np.divide(best, constant, out=np.zeros_like(best), where=constant > 0)
    return gain, (constant - best) / np.maximum(curves.lengths - FREE_PARAMETERS, 1), log_time
