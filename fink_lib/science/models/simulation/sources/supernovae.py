"""Supernovae: thermonuclear, core collapse, superluminous."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fink_lib.science.models.simulation.exposures import Exposures
from fink_lib.science.models.simulation.source import Light, Source, by_band, flux_of, peak_mags

Floats = npt.NDArray[np.float64]

SPAN_D = 170.0
EXPLODES_D = (31.0, 80.0)
"""When the explosion is within the window: the first 30 days hold the limits before it."""

REDDENING = {"g": 3.3, "r": 2.3}
"""A_g and A_r per E(B-V), for R_V = 3.1 (Schlafly and Finkbeiner 2011, ApJ 737, 103, table 6, rounded)."""

PHASE_D, IA_G_MAG, IA_R_MAG = np.array(
    [
        (-20.0, 9.0, 9.0), (-18.0, 4.6, 4.5), (-15.0, 2.4, 2.35), (-12.0, 1.2, 1.2), (-10.0, 0.72, 0.75),
        (-7.0, 0.30, 0.33), (-5.0, 0.13, 0.16), (-2.0, 0.01, 0.02), (0.0, 0.0, 0.0), (3.0, 0.07, 0.03),
        (5.0, 0.16, 0.10), (8.0, 0.38, 0.28), (10.0, 0.55, 0.42), (13.0, 0.85, 0.60), (15.0, 1.05, 0.67),
        (18.0, 1.40, 0.72), (20.0, 1.62, 0.75), (25.0, 2.10, 0.88), (30.0, 2.45, 1.20), (35.0, 2.68, 1.60),
        (40.0, 2.80, 1.90), (50.0, 3.00, 2.30), (60.0, 3.20, 2.65), (80.0, 3.60, 3.30), (120.0, 4.30, 4.60),
    ]
).T  # fmt: skip
"""Magnitudes below peak of a normal type Ia supernova at rest-frame days from B maximum: rounded knots that follow
Hsiao et al. 2007 (ApJ 663, 1187), with the second maximum as a shoulder in r."""


def draw_ia(rng: np.random.Generator, exposures: Exposures) -> Light:
    """Type Ia: one template, stretched (Goldhaber et al. 2001, ApJ 558, 359), dimmed and reddened by dust."""
    count = exposures.shape[0]
    mag = peak_mags(rng, count)
    redshift = _redshift(mag, rng.normal(-19.2, 0.3, count))
    stretch = np.clip(rng.normal(0.97, 0.1, count), 0.65, 1.2)
    width = (stretch * (1.0 + redshift))[:, None]
    peak_d = rng.uniform(*EXPLODES_D, count)[:, None] + 18.0 * width
    phase = (exposures.time_d - peak_d) / width
    # dust in the host; fast decliners are red, and a higher redshift moves the ultraviolet deficit into g
    dust = rng.exponential(0.08, count) + _milky_way(rng, count)
    colour = rng.normal(-0.02, 0.06, count) + dust + 0.6 * np.maximum(0.9 - stretch, 0.0) + 1.2 * redshift
    g = np.interp(phase, PHASE_D, IA_G_MAG) + mag[:, None] + colour[:, None]
    r = np.interp(phase, PHASE_D, IA_R_MAG) + mag[:, None]
    return Light(flux_of(by_band(exposures, g, r)), *_hosts(rng, mag))


def draw_ii(rng: np.random.Generator, exposures: Exposures) -> Light:
    """Types IIP and IIL: a fast rise, a plateau that fades sooner in g, a fall (Villar et al. 2019, ApJ 884, 83)."""
    count = exposures.shape[0]
    mag = peak_mags(rng, count)
    start = rng.uniform(*EXPLODES_D, count)[:, None]
    rise = rng.lognormal(np.log(2.2), 0.35, count)[:, None]
    length = rng.uniform(50.0, 110.0, count)[:, None]
    fall = rng.uniform(8.0, 25.0, count)[:, None]
    since = exposures.time_d - start - 3.0 * rise
    slope_r = rng.gamma(1.5, 0.003, count)[:, None]
    slope_g = slope_r + rng.uniform(0.012, 0.022, count)[:, None]
    plateau = by_band(exposures, slope_g, slope_r) * np.clip(since, 0.0, length)
    tail = np.maximum(since - length, 0.0) / fall
    with np.errstate(over="ignore"):
        climb = np.log1p(np.exp(-since / rise))
    colour = rng.normal(-0.05, 0.08, count) + rng.exponential(0.1, count) + _milky_way(rng, count)
    band_mag = mag[:, None] + by_band(exposures, colour[:, None], np.zeros(1)) + plateau + 1.0857 * (tail + climb)
    flux = np.where(since > -8.0 * rise, flux_of(band_mag), 0.0)
    return Light(flux, *_hosts(rng, mag))


def draw_iin(rng: np.random.Generator, exposures: Exposures) -> Light:
    """Type IIn: blue, slow to rise and to fade (Nyholm et al. 2020, A&A 637, A73); shape of Bazin et al. 2009."""
    count = exposures.shape[0]
    rise, fall = rng.uniform(4.0, 12.0, count), rng.uniform(35.0, 110.0, count)
    return _bazin_class(rng, exposures, rise, fall, fall * rng.uniform(0.75, 1.0, count), rng.normal(0.0, 0.12, count))


def draw_ibc(rng: np.random.Generator, exposures: Exposures) -> Light:
    """Types Ib, Ic, IIb: narrow and red (Taddia et al. 2018, A&A 609, A136); shape of Bazin et al. 2009."""
    count = exposures.shape[0]
    rise = rng.lognormal(np.log(3.6), 0.25, count)
    fall = rise + rng.uniform(14.0, 30.0, count)
    return _bazin_class(
        rng, exposures, rise, fall, rise + (fall - rise) * rng.uniform(0.45, 0.75, count), rng.normal(0.45, 0.18, count)
    )


def draw_slsn(rng: np.random.Generator, exposures: Exposures) -> Light:
    """Superluminous: as long as it is bright (De Cia et al. 2018, ApJ 860, 100); shape of Bazin et al. 2009."""
    count = exposures.shape[0]
    dilation = 1.0 + rng.uniform(0.08, 0.45, count)
    rise, fall = dilation * rng.uniform(6.0, 16.0, count), dilation * rng.uniform(28.0, 70.0, count)
    return _bazin_class(rng, exposures, rise, fall, fall * rng.uniform(0.6, 0.85, count), rng.normal(-0.1, 0.12, count))


def bazin(since_d: Floats, rise_d: Floats, fall_d: Floats) -> Floats:
    """Give the flux, in parts of its peak, of the function of Bazin et al. 2009 (A&A 499, 653).

    f(t) = exp(-t / fall) / (1 + exp(-t / rise)), peak at t = rise ln(fall / rise - 1).

    Parameters
    ----------
    since_d : ndarray
        Days since the function's own time zero.
    rise_d, fall_d : ndarray
        Time scales (days), fall longer than twice the rise so that the peak comes after time zero.
    """
    top = rise_d * np.log(fall_d / rise_d - 1.0)
    with np.errstate(over="ignore"):
        shape = np.exp(-since_d / fall_d) / (1.0 + np.exp(-since_d / rise_d))
        peak = np.exp(-top / fall_d) / (1.0 + np.exp(-top / rise_d))
    result: Floats = np.where(since_d > -8.0 * rise_d, shape / peak, 0.0)
    return result


def _bazin_class(
    rng: np.random.Generator, exposures: Exposures, rise: Floats, fall_r: Floats, fall_g: Floats, colour: Floats
) -> Light:
    count = exposures.shape[0]
    mag = peak_mags(rng, count)
    fall_g = np.maximum(fall_g, 2.2 * rise)
    fall_r = np.maximum(fall_r, 2.2 * rise)
    dust = rng.exponential(0.1, count) + _milky_way(rng, count)
    since = exposures.time_d - (rng.uniform(*EXPLODES_D, count) + 4.0 * rise)[:, None]
    shape = by_band(
        exposures, bazin(since, rise[:, None], fall_g[:, None]), bazin(since, rise[:, None], fall_r[:, None])
    )
    band_mag = mag[:, None] + by_band(exposures, (colour + dust)[:, None], np.zeros(1))
    return Light(shape * flux_of(band_mag), *_hosts(rng, mag))


def _redshift(mag: Floats, absolute_mag: Floats) -> Floats:
    """Give the redshift of a nearby source: d = cz/H0 with H0 = 70 km/s/Mpc."""
    distance_mpc = 10 ** (0.2 * (mag - absolute_mag) - 5.0)
    result: Floats = np.clip(distance_mpc * 70.0 / 299_792.0, 0.002, 0.2)
    return result


def _milky_way(rng: np.random.Generator, count: int) -> Floats:
    """Give the excess in g - r from dust of our Galaxy, away from its plane."""
    return (REDDENING["g"] - REDDENING["r"]) * rng.exponential(0.05, count)


def _hosts(rng: np.random.Generator, mag: Floats) -> tuple[Floats, dict[str, Floats]]:
    """Give a galaxy beside each: a few magnitudes either way, arcseconds off, found in seven of ten cases."""
    count = len(mag)
    host = np.clip(rng.normal(19.0, 1.6, count), 14.5, 22.5)
    offset = rng.exponential(1.8, count)
    unseen = rng.random(count) < 0.3
    reference = np.column_stack([host + rng.normal(0.6, 0.2, count), host])
    reference[unseen] = rng.uniform(19.5, 22.5, (int(unseen.sum()), 2))
    offset = np.where(unseen, rng.uniform(4.0, 20.0, count), offset)
    return reference, {
        "distnr": offset,
        "distpsnr1": offset,
        "sgscore1": np.where(unseen, rng.random(count), rng.beta(1.0, 8.0, count)),
    }


SOURCES = (
    Source("SNIa", draw_ia, SPAN_D, False, draw_ia.__doc__ or ""),
    Source("SNII", draw_ii, SPAN_D, False, draw_ii.__doc__ or ""),
    Source("SNIIn", draw_iin, SPAN_D, False, draw_iin.__doc__ or ""),
    Source("SNIbc", draw_ibc, SPAN_D, False, draw_ibc.__doc__ or ""),
    Source("SLSN", draw_slsn, 260.0, False, draw_slsn.__doc__ or ""),
)
