"""Damped random walk: how long and how strong the memory of a light curve is, exactly and without an optimiser.

The process is the Ornstein-Uhlenbeck one, with covariance σ² exp(-|Δt|/τ) plus the errors of the points (Kelly et al.
2009, ApJ 698, 895; MacLeod et al. 2010, ApJ 721, 1014). Its likelihood over sorted times needs one pass over the points
(the state-space form, Kelly et al. 2009 eqs. 6-12), here for all curves and all pairs (τ, σ) of a fixed grid at once. A
grid has no starting values and no failed fits, and its cost is the same for every curve.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fink_lib.science.timeseries.segments import Floats, Ints, Segments

LOG_TAU_D = np.linspace(-1.0, 3.0, 13)
"""log10 τ/d: from hours to years. In the 30 d that an alert holds, all τ above about 30 d look alike."""

LOG_SIGMA = np.linspace(-3.0, 0.0, 13)
"""log10 σ, in the unit of the values: relative flux."""

CURVES_AT_ONCE = 4_000


@dataclass(frozen=True)
class RandomWalk:
    """What the grid says of each curve.

    Parameters
    ----------
    log_tau, log_sigma : ndarray, shape (curves,)
        Mean over the grid, weighted with the likelihood (log10 τ/d, log10 σ).
    gain_walk : ndarray, shape (curves,)
        ln L of the best walk less that of a constant with errors only, per point.
    gain_memory : ndarray, shape (curves,)
        ln L of the best walk less that of the best white scatter (τ → 0), per point; 0 for a star without memory.
    """

    log_tau: Floats
    log_sigma: Floats
    gain_walk: Floats
    gain_memory: Floats


def log_likelihood(
    time: Floats, value: Floats, error: Floats, curves: Segments, log_tau: Floats, log_sigma: Floats
) -> Floats:
    """Give ln L of each curve for each pair of the grid; the mean of the process is the most likely one.

    Parameters
    ----------
    time, value, error : ndarray, shape (points,)
        Time (d), increasing within each curve; values and their errors in one unit.
    curves : Segments
        Where each curve lies.
    log_tau, log_sigma : ndarray, shapes (taus,) and (sigmas,)
        The grid.

    Returns
    -------
    ndarray, shape (curves, taus, sigmas)
    """
    # Longest first: at each step the curves that still have a point are the first ones.
    order = np.argsort(-curves.lengths, kind="stable")
    starts, lengths = curves.first[order], curves.lengths[order]
    variance = 10 ** (2 * log_sigma)
    rate = 10**-log_tau
    shape = (len(curves), len(log_tau), len(log_sigma))
    mean, mean_of_one = np.zeros(shape), np.zeros(shape)
    state = np.broadcast_to(variance, shape).copy()
    logs, cross, ones, squares = (np.zeros(shape) for _ in range(4))
    for step in range(int(lengths[0]) if len(curves) else 0):
        active = int(np.searchsorted(-lengths, -step, side="left"))
        place = starts[:active] + step
        if step:
            gap = time[place] - time[place - 1]
            memory = np.exp(-gap[:, None] * rate)[:, :, None]
            mean[:active] *= memory
            mean_of_one[:active] *= memory
            state[:active] = memory**2 * (state[:active] - variance) + variance
        seen = state[:active] + (error[place] ** 2)[:, None, None]
        gain = state[:active] / seen
        surprise = value[place][:, None, None] - mean[:active]
        surprise_of_one = 1.0 - mean_of_one[:active]
        logs[:active] += np.log(seen)
        squares[:active] += surprise**2 / seen
        cross[:active] += surprise * surprise_of_one / seen
        ones[:active] += surprise_of_one**2 / seen
        mean[:active] += gain * surprise
        mean_of_one[:active] += gain * surprise_of_one
        state[:active] *= 1 - gain
    chi2 = squares - cross**2 / ones
    likelihood = np.empty(shape)
    likelihood[order] = -0.5 * (logs + chi2 + lengths[:, None, None] * np.log(2 * np.pi))
    return likelihood


def white_log_likelihood(value: Floats, error: Floats, curves: Segments, log_sigma: Floats) -> Floats:
    """Give ln L of scatter without memory, shape (curves, sigmas); -inf in the grid stands for errors only."""
    variance = error[:, None] ** 2 + 10 ** (2 * log_sigma)
    ones = curves.sum(1 / variance)
    mean = curves.sum(value[:, None] / variance) / ones
    chi2 = curves.sum((value[:, None] - mean[curves.owner]) ** 2 / variance)
    result: Floats = -0.5 * (chi2 + curves.sum(np.log(variance)) + curves.lengths[:, None] * np.log(2 * np.pi))
    return result


def random_walk(time: Floats, value: Floats, error: Floats, curves: Segments) -> RandomWalk:
    """Fit a damped random walk to each curve (see :func:`log_likelihood` for the parameters)."""
    parts = []
    for begin in range(0, len(curves), CURVES_AT_ONCE):
        rows: Ints = np.arange(begin, min(begin + CURVES_AT_ONCE, len(curves)))
        places, some = curves.take(rows)
        parts.append(_fit(time[places], value[places], error[places], some))
    columns = np.concatenate(parts) if parts else np.zeros((0, 4))
    return RandomWalk(columns[:, 0], columns[:, 1], columns[:, 2], columns[:, 3])


def _fit(time: Floats, value: Floats, error: Floats, curves: Segments) -> Floats:
    # Values near 0 keep the digits of the running sums.
    centred = value - curves.median(value)[curves.owner]
    grid = log_likelihood(time, centred, error, curves, LOG_TAU_D, LOG_SIGMA)
    white = white_log_likelihood(centred, error, curves, np.append(LOG_SIGMA, -np.inf))
    best = grid.max(axis=(1, 2))
    weight = np.exp(grid - best[:, None, None])
    total, tau, sigma = (np.zeros(len(curves)) for _ in range(3))
    for row, log_tau in enumerate(LOG_TAU_D):
        for column, log_sigma in enumerate(LOG_SIGMA):
            share = weight[:, row, column]
            total += share
            tau += share * log_tau
            sigma += share * log_sigma
    walk = (best - white[:, -1]) / curves.lengths
    memory = (best - white.max(axis=1)) / curves.lengths
    return np.column_stack((tau / total, sigma / total, np.sign(walk) * np.log1p(np.abs(walk)), memory))
