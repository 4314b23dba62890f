"""The light of one kilonova ejecta: radioactive heating, diffusion, and an expanding black body.

Equations of Villar et al. 2017 (ApJL 851, L21, section 3), after Arnett 1982, Korobkin et al. 2012 and Barnes et al.
2016. Units: days, solar masses, parts of c, cm^2/g, K, erg/s.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

DAY_S = 86_400.0
SUN_G = 1.989e33
C_CM_S = 2.998e10
SIGMA_SB = 5.6704e-5
PLANCK_ERG_S = 6.626e-27
BOLTZMANN_ERG_K = 1.3807e-16
MPC_CM = 3.0857e24
WAVELENGTH_CM = (4.77e-5, 6.23e-5)
"""Effective wavelengths of g and r."""

BETA = 13.7
"""Constant of the diffusion time for a uniform density (Arnett 1982)."""

GRID_D = np.geomspace(0.01, 40.0, 220)


def ejecta_luminosity(since_d: Floats, opacity: Floats, mass_sun: Floats, speed_c: Floats) -> Floats:
    """Give the luminosity at some times since the merger.

    L(t) = 2/t_d e^{-(t/t_d)^2} Int_0^t L_in(x) e_th(x) e^{(x/t_d)^2} x/t_d dx, t_d^2 = 2 kappa M / (beta v c).

    Parameters
    ----------
    since_d : ndarray, shape (objects, times)
        Days; zero is given before the merger.
    opacity, mass_sun, speed_c : ndarray, shape (objects,)
        cm^2/g, solar masses, parts of c.

    Returns
    -------
    ndarray, shape (objects, times)
        erg/s.
    """
    mass, time = mass_sun[:, None], GRID_D[None, :]
    diffusion_d = np.sqrt(2.0 * opacity * mass_sun * SUN_G / (BETA * speed_c * C_CM_S**2)) / DAY_S
    heating = 4e18 * mass * SUN_G * (0.5 - np.arctan((time * DAY_S - 1.3) / 0.11) / np.pi) ** 1.3
    # thermalisation: fit of Barnes et al. 2016 (ApJ 829, 110, table 1) for 0.01 solar masses and 0.2 c
    a, b, d = 0.20, 0.28, 0.62
    heating = heating * 0.36 * (np.exp(-a * time) + np.log1p(2.0 * b * time**d) / (2.0 * b * time**d))
    scaled = time / diffusion_d[:, None]
    grown = heating * np.exp(np.minimum(scaled**2, 300.0)) * scaled
    steps = np.diff(GRID_D) * DAY_S
    total = np.concatenate(
        [np.zeros((len(mass), 1)), np.cumsum(0.5 * (grown[:, 1:] + grown[:, :-1]) * steps, axis=1)], axis=1
    )
    total = total + grown[:, :1] * GRID_D[0] * DAY_S
    luminosity = 2.0 / (diffusion_d[:, None] * DAY_S) * np.exp(-np.minimum(scaled**2, 300.0)) * total
    # beyond the range of the exponential all of the heating escapes at once
    luminosity = np.where(scaled**2 > 25.0, heating, luminosity)
    logs = np.log(luminosity)
    result = np.empty_like(since_d)
    for row in range(len(since_d)):
        result[row] = np.exp(np.interp(since_d[row], GRID_D, logs[row]))
    return np.where(since_d > 0, result, 0.0)


def blackbody_mags(
    since_d: Floats, luminosity: Floats, speed_c: Floats, floor_k: Floats, distance_mpc: Floats
) -> tuple[Floats, Floats]:
    """Give the AB magnitudes in g and r of a photosphere that expands until it has cooled to a least temperature.

    Parameters
    ----------
    since_d, luminosity : ndarray, shape (objects, times)
        Days, erg/s.
    speed_c, floor_k, distance_mpc : ndarray, shape (objects,)
        Of the ejecta (parts of c), least temperature (K), distance.
    """
    shining = np.maximum(luminosity, 1e30)
    radius = speed_c[:, None] * C_CM_S * np.maximum(since_d, 1e-3) * DAY_S
    temperature = (shining / (4 * np.pi * SIGMA_SB * radius**2)) ** 0.25
    cold = temperature < floor_k[:, None]
    temperature = np.where(cold, floor_k[:, None], temperature)
    radius = np.where(cold, np.sqrt(shining / (4 * np.pi * SIGMA_SB * temperature**4)), radius)
    solid = np.pi * (radius / (distance_mpc[:, None] * MPC_CM)) ** 2
    mags = []
    for wavelength in WAVELENGTH_CM:
        frequency = C_CM_S / wavelength
        energy = PLANCK_ERG_S * frequency / (BOLTZMANN_ERG_K * temperature)
        intensity = 2 * PLANCK_ERG_S * frequency**3 / C_CM_S**2 / np.expm1(np.minimum(energy, 300.0))
        mags.append(-2.5 * np.log10(np.maximum(intensity * solid, 1e-40)) - 48.6)
    return mags[0], mags[1]
