"""Structure function and colour: how much a source changes within a day, ten days, a month, and how its colour does.

Structure function: the scatter of the differences of all pairs of points a given time apart, less what the errors
explain (Kozlowski 2016, ApJ 826, 118, eq. 14-20; MacLeod et al. 2012, ApJ 753, 106).
"""

from __future__ import annotations

import numpy as np

from fink_lib.science.timeseries.segments import Bools, Floats, Ints, Segments

LAGS_D = {1: (0.5, 2.0), 10: (6.0, 15.0), 30: (20.0, 40.0)}
"""Nominal lag and the differences of time (d) that count for it; a packet's history ends at 30 d."""

LEAST_PAIRS = 3
"""With fewer pairs at a lag the value is missing."""

LEAST_NIGHTS = 3
"""With fewer nights a colour has no scatter."""


def structure_function(time: Floats, magnitude: Floats, error: Floats, curves: Segments) -> Floats:
    """Give the structure function at each lag of :data:`LAGS_D`.

    Parameters
    ----------
    time, magnitude, error : ndarray, shape (points,)
        Time (d), increasing within each curve; mag.
    curves : Segments
        Where each curve lies.

    Returns
    -------
    ndarray, shape (curves, 3)
        mag; sqrt(max(0, mean(Δm² - σ1² - σ2²))), NaN with fewer than :data:`LEAST_PAIRS` pairs.
    """
    sums = np.zeros((len(curves), len(LAGS_D)))
    counts = np.zeros((len(curves), len(LAGS_D)))
    for steps in range(1, int(curves.lengths.max(initial=1))):
        early = curves.followed(steps)
        late = early + steps
        gap = time[late] - time[early]
        excess = (magnitude[late] - magnitude[early]) ** 2 - error[late] ** 2 - error[early] ** 2
        for column, (least, most) in enumerate(LAGS_D.values()):
            inside = (gap >= least) & (gap < most)
            if inside.any():
                sums[:, column] += curves.sum_of(early[inside], excess[inside])
                counts[:, column] += curves.sum_of(early[inside], np.ones(int(inside.sum())))
    mean = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts >= LEAST_PAIRS)
    return np.sqrt(np.maximum(mean, 0.0))


def colours(
    time: Floats, magnitude: Floats, band: Ints, alert: Ints, size: int, pair: tuple[int, int] = (1, 2)
) -> tuple[Floats, Floats]:
    """Give mean and scatter of a colour over the nights with both bands.

    Parameters
    ----------
    time, magnitude : ndarray, shape (points,)
        JD and mag.
    band, alert : ndarray of int64, shape (points,)
        Filter, and number of the alert (0 to `size` - 1), of each point.
    size : int
        Number of alerts.
    pair : pair of int
        The colour is the first band less the second.

    Returns
    -------
    mean, scatter : ndarray, shape (size,)
        mag; NaN without a night of both, scatter NaN with fewer than :data:`LEAST_NIGHTS`.
    """
    night = np.floor(time + 0.5).astype(np.int64)
    first, second = (_per_night(alert, night, magnitude, band == one) for one in pair)
    _, here, there = np.intersect1d(first[0], second[0], assume_unique=True, return_indices=True)
    colour = first[2][here] - second[2][there]
    of = first[1][here]
    count = np.bincount(of, minlength=size)
    mean = np.full(size, np.nan)
    np.divide(np.bincount(of, weights=colour, minlength=size), count, out=mean, where=count > 0)
    square = np.bincount(of, weights=(colour - mean[of]) ** 2, minlength=size)
    variance = np.full(size, np.nan)
    np.divide(square, count - 1, out=variance, where=count >= LEAST_NIGHTS)
    return mean, np.sqrt(variance)


def _per_night(alert: Ints, night: Ints, magnitude: Floats, chosen: Bools) -> tuple[Ints, Ints, Floats]:
    """Give a number for each (alert, night), the alert, and the mean magnitude of its chosen points."""
    # Nights are counted from JD 0: below 2^23 for the next 15,000 years.
    keys, inverse = np.unique(alert[chosen] * 2**23 + night[chosen], return_inverse=True)
    mean = np.bincount(inverse, weights=magnitude[chosen], minlength=len(keys)) / np.bincount(
        inverse, minlength=len(keys)
    )
    return keys, keys // 2**23, mean
