"""Light curves: what each object's brightness is in each exposure, and what difference imaging makes of it.

Fluxes are in units of a source of magnitude 25.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fink_lib.simulator.synthetic.cadence import FID_G, Field, Floats
from fink_lib.simulator.synthetic.kinds import EXPLOSIONS, MOVING, OUTBURSTS, WANDERING, Kind
from fink_lib.simulator.synthetic.population import Population

ZERO_POINT_MAG = 25.0
SIGNIFICANCE = 5.0
POGSON = 2.5 / np.log(10.0)
SUBTRACTION_ERROR = 0.01  # part of the star's own flux that the subtraction leaves behind

_BAND_COLOUR = np.array([np.nan, 1.0, 0.0, -0.4])  # magnitude in g, r, i: r + this times (g - r)
_RISE_DAYS = {
    Kind.SN_IA: 4.5,
    Kind.HOSTLESS_SN: 4.5,
    Kind.SN_II: 2.5,
    Kind.SLSN: 18.0,
    Kind.TDE: 10.0,
    Kind.KILONOVA: 0.3,
    Kind.CATACLYSMIC: 0.6,
    Kind.SYMBIOTIC: 6.0,
}
_BLUE_FALL = 0.5  # a kilonova falls so much faster in g than in r
_AFTERGLOW_POWER = 1.1
_AGN_TIMESCALE_DAYS = 200.0


@dataclass(frozen=True)
class Photometry:
    """Measurements of all objects of a field, arrays of (object, exposure).

    Parameters
    ----------
    reference_mag : array
        Of the source in the reference image; infinite without one.
    mag, error : array
        Of the difference: ``magpsf`` and ``sigmapsf``.
    positive : array of bool
        Sign of the difference.
    detected : array of bool
        Whether the difference is significant; elsewhere the exposure gives an upper limit.
    """

    reference_mag: Floats
    mag: Floats
    error: Floats
    positive: npt.NDArray[np.bool_]
    detected: npt.NDArray[np.bool_]


def photometry(rng: np.random.Generator, field: Field, population: Population) -> Photometry:
    """Observe all objects in all exposures of their field."""
    reference, difference = _fluxes(rng, field, population)
    noise = 10 ** (-0.4 * (field.depth - ZERO_POINT_MAG))[None, :] / SIGNIFICANCE
    noise = np.sqrt(noise**2 + (SUBTRACTION_ERROR * np.maximum(reference, 0.0)) ** 2 + 0.02 * np.abs(difference))
    measured = difference + noise * rng.standard_normal(difference.shape)
    once = population.exposure >= 0
    sure = np.arange(difference.shape[1])[None, :] == population.exposure[:, None]
    # a passing thing is listed because it was seen: noise must not hide it
    measured = np.where(sure, np.sign(difference) * np.maximum(np.abs(measured), 1.02 * SIGNIFICANCE * noise), measured)
    detected = np.where(once[:, None], sure, np.abs(measured) > SIGNIFICANCE * noise)
    brightness = np.maximum(np.abs(measured), 1e-9)
    with np.errstate(divide="ignore"):
        reference_mag = ZERO_POINT_MAG - 2.5 * np.log10(reference)
    return Photometry(
        reference_mag,
        ZERO_POINT_MAG - 2.5 * np.log10(brightness),
        POGSON * noise / brightness,
        measured > 0,
        detected,
    )


def _fluxes(rng: np.random.Generator, field: Field, population: Population) -> tuple[Floats, Floats]:
    """Give the flux in the reference image and the true difference from it."""
    band_mag = population.mag[:, None] + _BAND_COLOUR[field.fid][None, :] * population.colour[:, None]
    level = 10 ** (-0.4 * (band_mag - ZERO_POINT_MAG))
    days = (field.jd - field.jd[field.tonight])[None, :]
    reference = np.zeros_like(level)
    difference = np.zeros_like(level)

    def shine(kind: Kind, dimming_mag: Floats) -> None:
        chosen = population.kind == kind
        reference[chosen] = level[chosen]
        difference[chosen] = level[chosen] * (10 ** (-0.4 * dimming_mag[chosen]) - 1.0)

    turn = (days / population.period[:, None] + population.phase[:, None]) % 1.0
    swing = population.amplitude[:, None]
    shine(Kind.RR_LYRAE, swing * (np.minimum(turn / 0.85, (1.0 - turn) / 0.15) - 0.5))
    shine(Kind.ECLIPSING, swing * (np.abs(np.cos(np.pi * turn)) ** 6 - 0.2))
    shine(Kind.LONG_PERIOD, 0.5 * swing * np.cos(2 * np.pi * turn))
    shine(Kind.VARIABLE, 0.5 * swing * np.cos(2 * np.pi * turn))
    walk = _wandering(rng, field, population)
    for kind in WANDERING:
        shine(kind, walk)
    shine(Kind.YSO, -swing * np.maximum(days + population.period[:, None], 0.0))
    for kind in OUTBURSTS:
        shine(kind, -swing * _flare(kind, field, days, population))
    for kind in EXPLOSIONS:
        chosen = population.kind == kind
        people = population.take(np.flatnonzero(chosen))
        difference[chosen] = level[chosen] * _flare(kind, field, days, people)
    fading = population.kind == Kind.AFTERGLOW
    difference[fading] = level[fading] * _afterglow(days, population.take(np.flatnonzero(fading)))
    lensed = population.kind == Kind.MICROLENSING
    reference[lensed] = level[lensed]
    difference[lensed] = level[lensed] * (_magnification(days, population.take(np.flatnonzero(lensed))) - 1.0)
    passing = population.of(*MOVING, Kind.BOGUS)
    difference[passing] = level[passing]
    ghost = (population.kind == Kind.BOGUS) & (population.ra * 1e4 % 1.0 < 0.4)
    difference[ghost] *= -1.0
    return reference, difference


def _flare(kind: Kind, field: Field, days: Floats, population: Population) -> Floats:
    """Give a flux in parts of its peak: a steep rise and an exponential fall (Bazin et al. 2009)."""
    fall = population.period[:, None] * np.where(field.fid == FID_G, _BLUE_FALL, 1.0)[None, :]
    fall = fall if kind == Kind.KILONOVA else population.period[:, None]
    rise = _RISE_DAYS[kind]
    since = days - population.phase[:, None]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        shape = np.exp(-since / fall) / (1.0 + np.exp(-since / rise))
        top = rise * np.log(fall / rise - 1.0)
        peak = np.exp(-top / fall) / (1.0 + np.exp(-top / rise))
        return np.where(since > -4.0 * rise, shape / peak, 0.0)


def _afterglow(days: Floats, population: Population) -> Floats:
    """Give the flux of an afterglow in parts of its first: nothing, then a power law."""
    since = days - population.phase[:, None]
    return np.asarray(
        np.where(since >= 0.0, (1.0 + np.maximum(since, 0.0) / population.period[:, None]) ** -_AFTERGLOW_POWER, 0.0)
    )


def _magnification(days: Floats, population: Population) -> Floats:
    """Give the magnification of a point source by a point lens (Paczynski 1986)."""
    passed = (days - population.phase[:, None]) / population.period[:, None]
    distance2 = population.amplitude[:, None] ** 2 + passed**2
    return np.asarray((distance2 + 2.0) / np.sqrt(distance2 * (distance2 + 4.0)))


def _wandering(rng: np.random.Generator, field: Field, population: Population) -> Floats:
    """Give the magnitudes of a damped random walk around zero (Kelly et al. 2009)."""
    swing = population.amplitude
    walk = np.empty((len(population), len(field.jd)))
    draws = rng.standard_normal(walk.shape)
    walk[:, 0] = swing * draws[:, 0]
    for step in range(1, len(field.jd)):
        kept = np.exp(-(field.jd[step] - field.jd[step - 1]) / _AGN_TIMESCALE_DAYS)
        walk[:, step] = kept * walk[:, step - 1] + swing * np.sqrt(1.0 - kept**2) * draws[:, step]
    return walk
