"""Nuclei of galaxies: accreting for long, or fed a star."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fink_lib.science.models.simulation.exposures import Exposures
from fink_lib.science.models.simulation.source import Light, Source, by_band, flux_of, peak_mags
from fink_lib.science.models.simulation.sources.stars import damped_random_walk

Floats = npt.NDArray[np.float64]


def draw_agn(rng: np.random.Generator, exposures: Exposures) -> Light:
    """Active nuclei: a damped random walk of months, bluer when brighter (MacLeod et al. 2010, ApJ 721, 1014)."""
    count = exposures.shape[0]
    scale, swing = 10 ** rng.normal(2.3, 0.4, count), 10 ** rng.normal(-0.7, 0.2, count)
    return _nuclear(
        rng, exposures, rng.uniform(16.0, 19.8, count), damped_random_walk(rng, exposures.time_d, scale, swing)
    )


def draw_blazar(rng: np.random.Generator, exposures: Exposures) -> Light:
    """Blazars: faster and larger (Ruan et al. 2012, ApJ 760, 51)."""
    count = exposures.shape[0]
    scale, swing = 10 ** rng.normal(1.6, 0.4, count), rng.uniform(0.25, 0.8, count)
    return _nuclear(
        rng, exposures, rng.uniform(15.5, 19.5, count), damped_random_walk(rng, exposures.time_d, scale, swing)
    )


def draw_tde(rng: np.random.Generator, exposures: Exposures) -> Light:
    """Tidal disruptions: Gaussian rise, exponential fall, blue for good (van Velzen et al. 2021, ApJ 908, 4)."""
    count = exposures.shape[0]
    mag = peak_mags(rng, count, scale=0.8)
    rise, fall = rng.lognormal(np.log(11.0), 0.35, count)[:, None], rng.lognormal(np.log(60.0), 0.35, count)[:, None]
    peak = rng.uniform(31.0, 80.0, count)[:, None] + 2.5 * rise
    since = exposures.time_d - peak
    shape = np.where(
        since < 0, np.exp(-0.5 * (np.minimum(since, 0.0) / rise) ** 2), np.exp(-np.maximum(since, 0.0) / fall)
    )
    colour = rng.normal(-0.2, 0.09, count) + rng.exponential(0.06, count)
    band_mag = mag[:, None] + by_band(exposures, colour[:, None], np.zeros(1))
    host = np.clip(rng.normal(17.8, 1.2, count), 14.5, 21.0)
    near = np.clip(rng.rayleigh(0.25, count), 0.01, 1.2)
    return Light(
        shape * flux_of(band_mag),
        np.column_stack([host + rng.normal(0.7, 0.2, count), host]),
        {"distnr": near, "distpsnr1": near, "sgscore1": rng.beta(1.0, 4.0, count)},
    )


def _nuclear(rng: np.random.Generator, exposures: Exposures, r_mag: Floats, walk_mag: Floats) -> Light:
    count = len(r_mag)
    g_mag = r_mag + rng.normal(0.3, 0.2, count)
    rest = by_band(exposures, g_mag[:, None], r_mag[:, None])
    # the reference image was taken at another moment of the same walk
    then = walk_mag - rng.permuted(walk_mag, axis=1)[:, :1]
    near = np.clip(rng.rayleigh(0.15, count), 0.01, 1.0)
    return Light(
        flux_of(rest + by_band(exposures, 1.15 * then, then)) - flux_of(rest),
        np.column_stack([g_mag, r_mag]),
        {"distnr": near, "distpsnr1": near, "sgscore1": rng.beta(2.0, 2.0, count)},
    )


SOURCES = (
    Source("AGN", draw_agn, 100.0, True, draw_agn.__doc__ or ""),
    Source("Blazar", draw_blazar, 100.0, True, draw_blazar.__doc__ or ""),
    Source("TDE", draw_tde, 200.0, False, draw_tde.__doc__ or ""),
)
