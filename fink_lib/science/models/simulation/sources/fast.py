"""What is over within days: kilonovae, outbursts, flares, and things that only pass."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fink_lib.science.models.simulation.exposures import Exposures
from fink_lib.science.models.simulation.source import Light, Source, by_band, flux_of, peak_mags
from fink_lib.science.models.simulation.sources.kilonova import blackbody_mags, ejecta_luminosity
from fink_lib.science.models.simulation.sources.stars import star_light

Floats = npt.NDArray[np.float64]

LOG_DISTANCE_MPC = (1.2, 2.4)
"""16 to 250 Mpc: nearer than the horizon of the gravitational-wave detectors."""


def draw_kilonova(rng: np.random.Generator, exposures: Exposures) -> Light:
    """Kilonovae: two ejecta that radioactive decay heats, each a black body (Villar et al. 2017, ApJL 851, L21)."""
    count = exposures.shape[0]
    start = rng.uniform(31.0, 45.0, count)
    since = exposures.time_d - start[:, None]
    # evenly in the logarithm: far ones fill the volume, but only a near one is seen for more than two nights
    distance_mpc = 10 ** rng.uniform(*LOG_DISTANCE_MPC, count)
    flux = np.zeros(exposures.shape)
    for opacity, mass, speed, floor in (
        ((0.3, 1.0), (0.01, 0.05), (0.2, 0.35), (600.0, 1500.0)),
        ((3.0, 12.0), (0.01, 0.06), (0.08, 0.2), (1500.0, 3500.0)),
    ):
        drawn = [rng.uniform(*limits, count) for limits in (opacity, mass, speed, floor)]
        luminosity = ejecta_luminosity(since, drawn[0], drawn[1], drawn[2])
        g, r = blackbody_mags(since, luminosity, drawn[2], drawn[3], distance_mpc)
        flux += np.where(since > 0, flux_of(by_band(exposures, g, r)), 0.0)
    host = rng.uniform(13.5, 19.0, count)
    offset = rng.exponential(6.0, count)
    return Light(
        flux,
        np.column_stack([host + 0.7, host]),
        {"distnr": offset, "distpsnr1": offset, "sgscore1": rng.beta(1.0, 4.0, count)},
    )


def draw_dwarf_nova(rng: np.random.Generator, exposures: Exposures) -> Light:
    """Dwarf novae: up in a day, a week or two bright and blue, down again (Warner 1995, Cataclysmic Variable Stars)."""
    count = exposures.shape[0]
    since = exposures.time_d - rng.uniform(31.0, 60.0, count)[:, None]
    rise, length, fall = (rng.uniform(*limits, count)[:, None] for limits in ((0.3, 1.5), (1.5, 14.0), (0.8, 3.0)))
    slope = rng.uniform(0.02, 0.12, count)[:, None]
    below = slope * np.clip(since, 0.0, length) + 1.0857 * np.maximum(since - length, 0.0) / fall
    with np.errstate(over="ignore"):
        below = below + 1.0857 * np.log1p(np.exp(-since / (0.4 * rise)))
    top = peak_mags(rng, count, 20.2, 1.2)
    rest = top + rng.uniform(2.0, 6.5, count)
    return _outburst(rng, exposures, top, rest, below, since > -4.0 * rise, rng.normal(0.0, 0.12, count))


def draw_nova(rng: np.random.Generator, exposures: Exposures) -> Light:
    """Classical novae: sudden, then fading by two magnitudes in days to months (Strope et al. 2010, AJ 140, 34)."""
    count = exposures.shape[0]
    since = exposures.time_d - rng.uniform(31.0, 60.0, count)[:, None]
    two_mag = (10 ** rng.uniform(0.8, 1.9, count))[:, None]
    below = 2.0 * (np.maximum(since, 0.0) / two_mag) ** 0.85
    with np.errstate(over="ignore"):
        below = below + 1.0857 * np.log1p(np.exp(-since / 0.4))
    top = peak_mags(rng, count, 19.8, 1.3)
    return _outburst(
        rng, exposures, top, top + rng.uniform(6.0, 10.0, count), below, since > -3.0, rng.normal(0.15, 0.2, count)
    )


def draw_flare(rng: np.random.Generator, exposures: Exposures) -> Light:
    """Flares of M dwarfs: minutes up, an hour down, hot on top of a red star (Davenport et al. 2014, ApJ 797, 122)."""
    count, size = exposures.shape
    r_mag = rng.uniform(16.0, 21.5, count)
    hit = rng.integers(0, np.maximum((exposures.band > 0).sum(axis=1), 1))
    since = exposures.time_d - np.take_along_axis(exposures.time_d, hit[:, None], axis=1)
    since = since + rng.uniform(0.0, 0.01, count)[:, None]
    with np.errstate(over="ignore"):
        decay = np.where(since >= 0, np.exp(-since / rng.uniform(0.005, 0.08, count)[:, None]), 0.0)
    strength = (10 ** rng.uniform(-0.7, 1.0, count))[:, None]
    extra = strength * by_band(exposures, 2.5 * np.ones(1), np.ones(1)) * np.nan_to_num(decay)
    return star_light(rng, exposures, r_mag, 1.4, -2.5 * np.log10(1.0 + extra))


def draw_passing(rng: np.random.Generator, exposures: Exposures) -> Light:
    """Asteroids and artefacts: there for the visits of an hour, never before nor after."""
    count, _ = exposures.shape
    hit = rng.integers(0, np.maximum((exposures.band > 0).sum(axis=1), 1))
    since = exposures.time_d - np.take_along_axis(exposures.time_d, hit[:, None], axis=1)
    with np.errstate(invalid="ignore"):
        there = (since >= 0) & (since < rng.uniform(0.005, 0.06, count)[:, None])
    r_mag = rng.uniform(16.0, 20.6, count)[:, None]
    band_mag = r_mag + by_band(exposures, rng.normal(0.55, 0.12, count)[:, None], np.zeros(1))
    sign = np.where(rng.random(count) < 0.9, 1.0, -1.0)[:, None]
    apart = rng.uniform(2.0, 20.0, count)
    return Light(
        np.where(there, sign * flux_of(band_mag), 0.0),
        np.column_stack([rng.uniform(19.0, 22.5, count), rng.uniform(18.5, 22.0, count)]),
        {"distnr": apart, "distpsnr1": apart, "sgscore1": rng.random(count)},
    )


def _outburst(
    rng: np.random.Generator,
    exposures: Exposures,
    top: Floats,
    rest: Floats,
    below_mag: Floats,
    begun: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
    colour: Floats,
) -> Light:
    """Give the light of a star that brightens by magnitudes; its quiescence is in the reference unless too faint."""
    count = len(top)
    band_mag = top[:, None] + by_band(exposures, colour[:, None], np.zeros(1)) + below_mag
    seen = rest < 21.5
    reference = np.where(seen, rest, rng.uniform(19.0, 22.5, count))
    near = np.where(seen, np.clip(rng.rayleigh(0.2, count), 0.01, 1.2), rng.uniform(2.0, 20.0, count))
    return Light(
        np.where(begun, flux_of(band_mag), 0.0),
        np.column_stack([reference + 0.2, reference]),
        {"distnr": near, "distpsnr1": near, "sgscore1": np.where(seen, rng.beta(6.0, 1.0, count), rng.random(count))},
    )


SOURCES = (
    Source("Kilonova", draw_kilonova, 62.0, False, draw_kilonova.__doc__ or ""),
    Source("DwarfNova", draw_dwarf_nova, 90.0, False, draw_dwarf_nova.__doc__ or ""),
    Source("Nova", draw_nova, 140.0, False, draw_nova.__doc__ or ""),
    Source("Flare", draw_flare, 70.0, False, draw_flare.__doc__ or ""),
    Source("Passing", draw_passing, 60.0, False, draw_passing.__doc__ or ""),
)
