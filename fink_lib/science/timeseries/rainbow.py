"""Rainbow: one fit of all bands of a transient, as a black body whose power and temperature change with time.

Russeil et al. 2024 (A&A 683, A251): F(t, nu) = L(t) pi B_nu(T(t)) / (sigma T(t)^4), with the bolometric light curve of
Bazin et al. 2009 (A&A 499, 653, eq. 1), L = A exp(-x / fall) / (1 + exp(-x / rise)), x = t - t0, and a temperature that
falls as a logistic curve, T = Tmin + dT / (1 + exp(x / k)).

All light curves are fitted at once by a fixed number of Levenberg-Marquardt steps (Marquardt 1963, SIAM J. Appl. Math.
11, 431). Few points do not decide seven parameters: broad Gaussian priors on the logarithms, written down in
:data:`PRIORS`, hold those that the points leave open.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fink_lib.science.timeseries.segments import Floats, Ints, Segments

WAVELENGTH_ANGSTROM = {1: 4770.0, 2: 6231.0}
"""Effective wavelengths of g and r."""

HC_OVER_K_ANGSTROM_K = 1.438776877e8
"""h c / k (CODATA 2018), in Angstrom times kelvin."""

PARAMETERS = ("log_amplitude", "t0_d", "log_rise", "log_fall", "log_t_min", "log_delta_t", "log_k")
"""Natural logarithms of A (units of the largest flux), days, kelvin; t0 counts from the time of the largest flux."""

PRIORS = {
    "log_amplitude": (1.0, 3.0),
    "t0_d": (0.0, 20.0),
    "log_rise": (np.log(8.0), 1.0),
    "log_fall": (np.log(40.0), 1.0),
    "log_t_min": (np.log(6000.0), 0.4),
    "log_delta_t": (np.log(6000.0), 0.8),
    "log_k": (np.log(20.0), 0.8),
}
"""Mean and scatter; covers supernovae from Ia to superluminous (Inserra 2019, Nature Astronomy 3, 697)."""

STEPS = 30
FLOOR = 0.03
"""Relative error that the model has itself: no supernova is a black body."""

T_REFERENCE_K = 10_000.0
"""Temperature at which the amplitude is counted, so that it is of the order of the flux."""


@dataclass(frozen=True)
class RainbowFit:
    """The most likely parameters of each curve.

    Parameters
    ----------
    parameters : ndarray, shape (curves, 7)
        In the order of :data:`PARAMETERS`.
    reduced_chi2 : ndarray, shape (curves,)
        χ² of the points (without the priors) per max(1, points - 7).
    scale, peak_jd : ndarray, shape (curves,)
        Largest flux and its time: the origin of amplitude and t0.
    """

    parameters: Floats
    reduced_chi2: Floats
    scale: Floats
    peak_jd: Floats


def _logistic(values: Floats) -> Floats:
    return 1 / (1 + np.exp(-np.clip(values, -60, 60)))


def rainbow_flux(time_d: Floats, wavelength: Floats, parameters: Floats) -> tuple[Floats, Floats]:
    """Give the model and its derivatives.

    Parameters
    ----------
    time_d : ndarray, shape (points,)
        Days since the largest flux.
    wavelength : ndarray, shape (points,)
        Angstrom.
    parameters : ndarray, shape (points, 7)
        Of the curve that each point belongs to.

    Returns
    -------
    flux : ndarray, shape (points,)
    derivatives : ndarray, shape (points, 7)
        With respect to each parameter.
    """
    log_amplitude, t0, *logs = parameters.T
    rise, fall, t_min, delta_t, k = (np.exp(one) for one in logs)
    x = time_d - t0
    early = _logistic(-x / rise)
    hot = _logistic(-x / k)
    temperature = t_min + delta_t * hot
    h = HC_OVER_K_ANGSTROM_K / (wavelength * temperature)
    h_reference = HC_OVER_K_ANGSTROM_K / (wavelength * T_REFERENCE_K)
    log_planck = -4 * np.log(temperature / T_REFERENCE_K) - np.log(np.expm1(h) / np.expm1(h_reference))
    softplus = np.logaddexp(0.0, -np.clip(x / rise, -60, 60))
    flux = np.exp(np.clip(log_amplitude - x / fall - softplus + log_planck, -60, 20))
    per_temperature = (h / -np.expm1(-h) - 4) / temperature
    cooling = delta_t * hot * (1 - hot)
    slopes = np.column_stack(
        (
            np.ones_like(x),
            1 / fall - early / rise + per_temperature * cooling / k,
            -early * x / rise,
            x / fall,
            per_temperature * t_min,
            per_temperature * delta_t * hot,
            per_temperature * cooling * x / k,
        )
    )
    return flux, flux[:, None] * slopes


def rainbow_fit(time: Floats, flux: Floats, error: Floats, band: Ints, curves: Segments) -> RainbowFit:
    """Fit all bands of each curve at once.

    Parameters
    ----------
    time, flux, error : ndarray, shape (points,)
        JD; flux and its error in any one unit, with a largest flux above 0 in each curve.
    band : ndarray of int64, shape (points,)
        Keys of :data:`WAVELENGTH_ANGSTROM`.
    curves : Segments
        Where each curve lies.
    """
    owner = curves.owner
    scale = curves.max(flux)
    peak = time[curves.argfirst(flux == scale[owner])]
    wavelength = np.array([WAVELENGTH_ANGSTROM[one] for one in band.tolist()])
    y = flux / scale[owner]
    sigma = np.hypot(error / scale[owner], FLOOR * np.maximum(y, 0.1))
    x = time - peak[owner]
    centre = np.array([PRIORS[name][0] for name in PARAMETERS])
    width = np.array([PRIORS[name][1] for name in PARAMETERS])
    parameters = np.tile(centre, (len(curves), 1))
    damping = np.full(len(curves), 1e-2)
    diagonal = np.arange(len(PARAMETERS))

    def cost_of(values: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        model, slopes = rainbow_flux(x, wavelength, values[owner])
        residual = (y - model) / sigma
        chi2 = curves.sum(residual**2)
        pull = ((values - centre) / width) ** 2
        return chi2, chi2 + sum(pull.T), residual, slopes / sigma[:, None]

    chi2, cost, residual, slopes = cost_of(parameters)
    for _ in range(STEPS):
        gradient = curves.sum(slopes * residual[:, None]) - (parameters - centre) / width**2
        normal = curves.sum(slopes[:, :, None] * slopes[:, None, :])
        normal[:, diagonal, diagonal] += width**-2
        damped = normal.copy()
        damped[:, diagonal, diagonal] *= 1 + damping[:, None]
        step = np.linalg.solve(damped, gradient[:, :, None])[:, :, 0]
        # A step of more than one prior width is not to be trusted: the model is far from linear.
        proposed = parameters + np.clip(step, -width, width)
        new_chi2, new_cost, new_residual, new_slopes = cost_of(proposed)
        better = new_cost < cost
        at = better[owner]
        parameters = np.where(better[:, None], proposed, parameters)
        cost, chi2 = np.where(better, new_cost, cost), np.where(better, new_chi2, chi2)
        residual, slopes = np.where(at, new_residual, residual), np.where(at[:, None], new_slopes, slopes)
        damping = np.clip(np.where(better, damping / 5, damping * 5), 1e-6, 1e6)
    freedom = np.maximum(curves.lengths - len(PARAMETERS), 1)
    return RainbowFit(parameters, chi2 / freedom, scale, peak)
