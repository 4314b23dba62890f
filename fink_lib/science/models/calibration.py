"""Scores that are probabilities: isotonic calibration as plain arrays, and how well it holds.

The transform is the non-decreasing step function of least squares (pool adjacent violators; Barlow et al. 1972;
Zadrozny and Elkan 2002, KDD, 694), stored as the values at its knots and interpolated linearly in between.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

KNOTS = 60
"""At most this many knots: more would follow the noise of the calibration sample."""

BINS = 15
"""Bins of equal width of the expected calibration error (Guo et al. 2017, ICML, 1321)."""


def fit_isotonic(score: Floats, positive: Bools, weight: Floats | None = None) -> Floats:
    """Fit the calibration of a score.

    Parameters
    ----------
    score : ndarray
        Raw scores of objects that did not take part in the training.
    positive : ndarray of bool
        Truth.
    weight : ndarray, optional
        Of each object.

    Returns
    -------
    ndarray of shape (knots, 2)
        Raw score (increasing) and probability (not decreasing).
    """
    weight = np.ones_like(score) if weight is None else weight
    order = np.argsort(score, kind="stable")
    edges = np.unique(np.linspace(0, len(score), 4 * KNOTS + 1).astype(int))
    groups = [order[start:stop] for start, stop in zip(edges[:-1], edges[1:], strict=True)]
    x = np.array([np.average(score[one], weights=weight[one]) for one in groups])
    y = np.array([np.average(positive[one], weights=weight[one]) for one in groups])
    y = pool_adjacent_violators(y, np.array([weight[one].sum() for one in groups]))
    # within a step only its ends matter
    keep = np.ones(len(x), dtype=bool)
    keep[1:-1] = (y[1:-1] != y[:-2]) | (y[1:-1] != y[2:])
    x, y = x[keep], y[keep]
    while len(x) > KNOTS:
        flattest = 1 + int(np.argmin(y[2:] - y[:-2]))
        x, y = np.delete(x, flattest), np.delete(y, flattest)
    return np.column_stack([x, np.clip(y, 0.0, 1.0)])


def pool_adjacent_violators(values: Floats, weights: Floats) -> Floats:
    """Give the non-decreasing sequence that is nearest to `values` in weighted least squares.

    >>> pool_adjacent_violators(np.array([1.0, 3.0, 2.0, 4.0]), np.ones(4)).tolist()
    [1.0, 2.5, 2.5, 4.0]
    """
    means: list[float] = []
    masses: list[float] = []
    sizes: list[int] = []
    for value, mass in zip(values.tolist(), weights.tolist(), strict=True):
        means.append(value)
        masses.append(mass)
        sizes.append(1)
        while len(means) > 1 and means[-2] > means[-1]:
            total = masses[-2] + masses[-1]
            means[-2] = (means[-2] * masses[-2] + means[-1] * masses[-1]) / total
            masses[-2] = total
            sizes[-2] += sizes[-1]
            del means[-1], masses[-1], sizes[-1]
    return np.repeat(means, sizes)


def calibrated(score: Floats, knots: npt.NDArray[np.float64]) -> Floats:
    """Turn raw scores into probabilities; beyond the outer knots the outer values hold.

    Parameters
    ----------
    score : ndarray
        Raw scores.
    knots : ndarray of shape (knots, 2)
        Of :func:`fit_isotonic`.
    """
    result: Floats = np.interp(score, knots[:, 0], knots[:, 1])
    return result


def calibration_error(probability: Floats, positive: Bools, bins: int = BINS) -> float:
    """Give the expected calibration error: the mean distance of said and true over bins, by their share.

    Parameters
    ----------
    probability : ndarray
        Said.
    positive : ndarray of bool
        Truth.
    bins : int
        Bins of equal width.
    """
    place = np.clip((probability * bins).astype(int), 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    said = np.bincount(place, probability, minlength=bins)
    true = np.bincount(place, positive.astype(float), minlength=bins)
    return float(np.abs(said - true).sum() / max(count.sum(), 1))
