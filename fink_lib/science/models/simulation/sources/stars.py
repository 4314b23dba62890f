"""Stars: periodic, erratic, lensed, and those that do nothing at all."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fink_lib.science.models.simulation.exposures import Exposures
from fink_lib.science.models.simulation.source import Light, Source, by_band, flux_of

Floats = npt.NDArray[np.float64]

SPAN_D = 100.0


def draw_rr_lyrae(rng: np.random.Generator, exposures: Exposures) -> Light:
    """RR Lyrae: a sawtooth of half a day, larger in g (Sesar et al. 2010, ApJ 708, 717)."""
    count = exposures.shape[0]
    period = rng.uniform(0.3, 0.8, count)[:, None]
    turn = (exposures.time_d / period + rng.random(count)[:, None]) % 1.0
    steep = rng.uniform(0.1, 0.25, count)[:, None]
    saw = np.minimum(turn / (1.0 - steep), (1.0 - turn) / steep) - 0.5
    swing_g = rng.uniform(0.4, 1.3, count)[:, None]
    return star_light(
        rng, exposures, rng.uniform(14.5, 19.8, count), 0.2, by_band(exposures, swing_g, 0.72 * swing_g) * saw
    )


def draw_eclipsing(rng: np.random.Generator, exposures: Exposures) -> Light:
    """Eclipsing binaries: two dips per period (shape as in Prsa et al. 2008, ApJ 687, 542)."""
    count = exposures.shape[0]
    period = (10 ** rng.uniform(-0.6, 0.9, count))[:, None]
    turn = (exposures.time_d / period + rng.random(count)[:, None]) % 1.0
    width = rng.uniform(0.03, 0.12, count)[:, None]
    deep = rng.uniform(0.3, 1.2, count)[:, None]
    second = deep * rng.uniform(0.1, 1.0, count)[:, None]
    apart = np.minimum(turn, 1.0 - turn)
    dip = deep * np.exp(-0.5 * (apart / width) ** 2) + second * np.exp(-0.5 * ((turn - 0.5) / width) ** 2)
    reference = rng.uniform(0.0, 0.15, count)[:, None]  # some of the reference exposures fell into the eclipse
    return star_light(rng, exposures, rng.uniform(14.0, 19.3, count), 0.6, dip - reference)


def draw_long_period(rng: np.random.Generator, exposures: Exposures) -> Light:
    """Miras and semiregulars: months, red (Soszynski et al. 2009, Acta Astron. 59, 239)."""
    count = exposures.shape[0]
    period = (10 ** rng.uniform(1.6, 2.7, count))[:, None]
    turn = exposures.time_d / period + rng.random(count)[:, None]
    swing = rng.uniform(0.3, 2.5, count)[:, None]
    wave = (
        0.5 * swing * (np.cos(2 * np.pi * turn) + 0.2 * np.cos(4 * np.pi * turn)) + rng.normal(0, 0.3, count)[:, None]
    )
    return star_light(rng, exposures, rng.uniform(13.0, 18.0, count), 1.5, by_band(exposures, 1.25 * wave, wave))


def draw_erratic(rng: np.random.Generator, exposures: Exposures) -> Light:
    """Young stars and others without a period: a damped random walk of days (Findeisen et al. 2015, ApJ 798, 89)."""
    count = exposures.shape[0]
    swing = 10 ** rng.uniform(-1.3, -0.2, count)
    walk = damped_random_walk(rng, exposures.time_d, 10 ** rng.uniform(-0.3, 1.8, count), swing)
    # the reference image caught the star at some moment of its own
    walk = walk - (swing * rng.standard_normal(count))[:, None]
    return star_light(rng, exposures, rng.uniform(14.5, 19.5, count), 1.0, by_band(exposures, 1.2 * walk, walk))


def draw_microlensing(rng: np.random.Generator, exposures: Exposures) -> Light:
    """Microlensing: point source and lens, the same in every band (Paczynski 1986, ApJ 304, 1)."""
    count = exposures.shape[0]
    crossing = 10 ** rng.uniform(0.6, 2.0, count)
    peak = rng.uniform(25.0, SPAN_D - 15.0, count)
    impact = rng.uniform(0.01, 0.9, count)
    distance2 = impact[:, None] ** 2 + ((exposures.time_d - peak[:, None]) / crossing[:, None]) ** 2
    magnified = (distance2 + 2.0) / np.sqrt(distance2 * (distance2 + 4.0))
    # part of the light is that of neighbours
    share = rng.uniform(0.3, 1.0, count)[:, None]
    return star_light(
        rng, exposures, rng.uniform(15.5, 20.5, count), 0.9, -2.5 * np.log10(1.0 + share * (magnified - 1.0))
    )


def draw_constant(rng: np.random.Generator, exposures: Exposures) -> Light:
    """Constant stars: what the subtraction leaves behind, either sign, sometimes more than noise."""
    count, size = exposures.shape
    leaves = rng.uniform(0.005, 0.05, count)[:, None] * rng.standard_t(4.0, (count, size))
    # a star that moved, or a reference of another colour, leaves the same sign in every image
    leaves = leaves - rng.exponential(0.03, count)[:, None] * rng.choice([0.0, 1.0, -0.5], count)[:, None]
    return star_light(rng, exposures, rng.uniform(13.0, 18.5, count), 0.6, leaves)


def damped_random_walk(rng: np.random.Generator, time_d: Floats, scale_d: Floats, swing_mag: Floats) -> Floats:
    """Draw a damped random walk (Kelly, Bechtold and Siemiginowska 2009, ApJ 698, 895).

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all draws.
    time_d : ndarray, shape (objects, exposures)
        Increasing; NaN at the end of shorter rows.
    scale_d, swing_mag : ndarray, shape (objects,)
        Damping time and long-term standard deviation.

    Returns
    -------
    ndarray, shape (objects, exposures)
        Magnitudes about zero.
    """
    draws = rng.standard_normal(time_d.shape)
    walk = np.zeros_like(draws)
    walk[:, 0] = draws[:, 0]
    step_d = np.nan_to_num(np.diff(time_d, axis=1), nan=0.0)
    for place in range(1, time_d.shape[1]):
        kept = np.exp(-step_d[:, place - 1] / scale_d)
        walk[:, place] = kept * walk[:, place - 1] + np.sqrt(1.0 - kept**2) * draws[:, place]
    return walk * swing_mag[:, None]


def star_light(
    rng: np.random.Generator, exposures: Exposures, r_mag: Floats, colour: float, dimming_mag: Floats
) -> Light:
    """Give the light of stars that are in the reference image.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all draws.
    exposures : Exposures
        When they are observed.
    r_mag : ndarray
        r magnitude in the reference image.
    colour : float
        Mean g - r.
    dimming_mag : ndarray, shape (objects, exposures)
        Magnitude minus that in the reference image.
    """
    count = len(r_mag)
    g_mag = r_mag + colour + rng.normal(0.0, 0.15, count)
    rest = by_band(exposures, g_mag[:, None], r_mag[:, None])
    near = np.clip(rng.rayleigh(0.15, count), 0.01, 1.0)
    return Light(
        flux_of(rest + dimming_mag) - flux_of(rest),
        np.column_stack([g_mag, r_mag]),
        {"distnr": near, "distpsnr1": near, "sgscore1": rng.beta(12.0, 1.0, count)},
    )


SOURCES = (
    Source("RRLyrae", draw_rr_lyrae, SPAN_D, True, draw_rr_lyrae.__doc__ or ""),
    Source("Eclipsing", draw_eclipsing, SPAN_D, True, draw_eclipsing.__doc__ or ""),
    Source("LongPeriod", draw_long_period, SPAN_D, True, draw_long_period.__doc__ or ""),
    Source("Erratic", draw_erratic, SPAN_D, True, draw_erratic.__doc__ or ""),
    Source("Microlensing", draw_microlensing, SPAN_D, False, draw_microlensing.__doc__ or ""),
    Source("Constant", draw_constant, SPAN_D, True, draw_constant.__doc__ or ""),
)
