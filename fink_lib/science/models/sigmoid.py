"""Fits of a rising sigmoid to many light curves at once.

F(t) = c / (1 + e^{-a (t - b)}): the rise of a supernova (Leoni et al. 2022, A&A 663, A13, section 3). Two points do not
fix three parameters, so each fit carries weak Gaussian knowledge of what rises look like; many points override it. The
steps are those of Levenberg and Marquardt, a fixed number of them for every light curve, so that none waits for another
and none depends on another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

STEPS = 20
RATE_PER_D, RATE_SCATTER = 0.25, 0.6
"""Rise rate a: supernovae of all types lie between 0.08 and 0.8 per day; scatter of its logarithm."""

CEILING, CEILING_SCATTER = 1.15, 0.35
"""Plateau c in parts of the brightest point, and scatter of its logarithm."""

MIDDLE_SCATTER_D = 8.0
"""Of the middle b about the time at which half of the brightest flux was crossed."""

SYSTEMATIC = 0.03
"""Part of the flux that is added to its error: no supernova is a perfect sigmoid."""


@dataclass(frozen=True)
class Sigmoids:
    """Fitted parameters, one per light curve.

    Parameters
    ----------
    rate_per_d, middle_d, ceiling : ndarray
        a, b and c.
    chi2 : ndarray
        Sum of squared residuals in units of their errors, per point.
    """

    rate_per_d: Floats
    middle_d: Floats
    ceiling: Floats
    chi2: Floats


def fit_sigmoids(time_d: Floats, flux: Floats, error: Floats, use: Bools) -> Sigmoids:
    """Fit each row.

    Parameters
    ----------
    time_d, flux, error : ndarray, shape (curves, points)
        Days, any unit of flux; values where `use` is false are not looked at.
    use : ndarray of bool, shape (curves, points)
        At least one point of each row, with a positive greatest flux.

    Returns
    -------
    Sigmoids
    """
    time = np.where(use, time_d, 0.0)
    top = np.max(np.where(use, flux, -np.inf), axis=1)
    scaled = np.where(use, flux, 0.0) / top[:, None]
    spread = np.where(use, error, 1.0) / top[:, None]
    weight = np.where(use, 1.0 / (spread**2 + (SYSTEMATIC * scaled) ** 2), 0.0)
    # where half of the brightest flux was crossed, or the first point if that is bright already
    first = np.min(np.where(use, time_d, np.inf), axis=1)
    below = np.max(np.where(use & (scaled < 0.5), time_d, -np.inf), axis=1)
    guess = np.where(np.isfinite(below), below, first - 2.0)

    known = np.stack([np.full_like(top, np.log(RATE_PER_D)), guess, np.full_like(top, np.log(CEILING))])
    stiff = np.array([RATE_SCATTER, MIDDLE_SCATTER_D, CEILING_SCATTER])[:, None] ** -2.0
    at = known.copy()
    damping = np.full_like(top, 1e-2)
    cost, gradient, curvature = _look(at, time, scaled, weight, known, stiff)
    for _ in range(STEPS):
        trial = at - _solve(curvature, gradient, damping)
        trial[0] = np.clip(trial[0], -5.0, 3.0)
        trial[2] = np.clip(trial[2], -3.0, 3.0)
        new_cost, new_gradient, new_curvature = _look(trial, time, scaled, weight, known, stiff)
        better = new_cost < cost
        damping = np.where(better, damping * 0.3, damping * 5.0)
        at = np.where(better, trial, at)
        cost = np.where(better, new_cost, cost)
        gradient = np.where(better, new_gradient, gradient)
        curvature = np.where(better, new_curvature, curvature)
    residual2 = weight * (_model(at, time)[0] - scaled) ** 2
    return Sigmoids(np.exp(at[0]), at[1], np.exp(at[2]) * top, residual2.sum(axis=1) / use.sum(axis=1))


def _model(at: Floats, time: Floats) -> tuple[Floats, Floats, Floats]:
    """Give the model, the sigmoid without its ceiling, and the argument's slope."""
    rate, ceiling = np.exp(at[0])[:, None], np.exp(at[2])[:, None]
    argument = np.clip(rate * (time - at[1][:, None]), -60.0, 60.0)
    shape = 1.0 / (1.0 + np.exp(-argument))
    return ceiling * shape, shape, argument


def _look(
    at: Floats, time: Floats, scaled: Floats, weight: Floats, known: Floats, stiff: Floats
) -> tuple[Floats, Floats, Floats]:
    """Give cost, gradient (3) and Gauss-Newton curvature (6: aa ab ac bb bc cc) of every row."""
    model, shape, argument = _model(at, time)
    inner = model * (1.0 - shape)
    by_rate = inner * argument
    by_middle = -inner * np.exp(at[0])[:, None]
    miss = model - scaled
    pulled = at - known
    cost = (weight * miss**2).sum(axis=1) + (stiff * pulled**2)[0] + (stiff * pulled**2)[1] + (stiff * pulled**2)[2]
    slopes = (by_rate, by_middle, model)
    gradient = np.stack([(weight * miss * one).sum(axis=1) for one in slopes]) + stiff * pulled
    pairs = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
    curvature = np.stack([(weight * slopes[i] * slopes[j]).sum(axis=1) for i, j in pairs])
    curvature[[0, 3, 5]] += stiff
    return cost, gradient, curvature


def _solve(curvature: Floats, gradient: Floats, damping: Floats) -> Floats:
    """Solve the damped 3 x 3 systems by Cramer's rule."""
    aa, ab, ac, bb, bc, cc = curvature
    aa, bb, cc = aa * (1.0 + damping), bb * (1.0 + damping), cc * (1.0 + damping)
    x, y, z = gradient
    m1, m2, m3 = bb * cc - bc * bc, ac * bc - ab * cc, ab * bc - ac * bb
    determinant = aa * m1 + ab * m2 + ac * m3
    return np.stack(
        [
            (x * m1 + y * m2 + z * m3) / determinant,
            (x * m2 + y * (aa * cc - ac * ac) + z * (ab * ac - aa * bc)) / determinant,
            (x * m3 + y * (ab * ac - aa * bc) + z * (aa * bb - ab * ab)) / determinant,
        ]
    )
