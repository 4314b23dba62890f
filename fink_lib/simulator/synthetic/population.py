"""What shines in a synthetic field: kinds of objects, where they are, what they look like when nothing happens."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from fink_lib.simulator.synthetic.cadence import Field, Floats, Ints
from fink_lib.simulator.synthetic.stars import real_stars


class Kind(IntEnum):
    """What an object really is."""

    ASTEROID = 0
    NEW_ASTEROID = 1
    TRAIL = 2
    RR_LYRAE = 3
    ECLIPSING = 4
    LONG_PERIOD = 5
    VARIABLE = 6
    AGN = 7
    SN_IA = 8
    SN_II = 9
    MICROLENSING = 10
    BOGUS = 11


SHARES = {
    Kind.ASTEROID: 0.26,
    Kind.NEW_ASTEROID: 0.05,
    Kind.RR_LYRAE: 0.10,
    Kind.ECLIPSING: 0.12,
    Kind.LONG_PERIOD: 0.10,
    Kind.VARIABLE: 0.05,
    Kind.AGN: 0.115,
    Kind.SN_IA: 0.015,
    Kind.SN_II: 0.01,
    Kind.MICROLENSING: 0.006,
    Kind.BOGUS: 0.17,
}
"""Part of a night's alerts that each kind aims at."""

MOVING = (Kind.ASTEROID, Kind.NEW_ASTEROID, Kind.TRAIL)
ONCE = (*MOVING, Kind.BOGUS)
STARS = (Kind.RR_LYRAE, Kind.ECLIPSING, Kind.LONG_PERIOD, Kind.VARIABLE, Kind.MICROLENSING)
PERSISTENT = (Kind.RR_LYRAE, Kind.ECLIPSING, Kind.LONG_PERIOD, Kind.VARIABLE, Kind.AGN)
SUPERNOVAE = (Kind.SN_IA, Kind.SN_II)

REAL_STARS = 0.7
"""Part of the variable stars of a type that sit where a real one does, as far as there are enough."""

TRAIL_POINTS = (6, 12)
TRAIL_STEP_ARCSEC = (40.0, 110.0)
ARCSEC = 1.0 / 3600.0
_REAL_TYPES = {
    Kind.RR_LYRAE: re.compile(r"RR(AB|C|D|\(B\))?[:]?$"),
    Kind.ECLIPSING: re.compile(r"E[ABW](/[A-Z]+)?[:]?$"),
    Kind.LONG_PERIOD: re.compile(r"(M|SR[ABCDS]?|L[BC]?)[:]?$"),
}
_INVENTED_TYPES = {Kind.RR_LYRAE: "RRAB", Kind.ECLIPSING: "EW", Kind.LONG_PERIOD: "SR"}
_BRIGHTNESS = {  # least and greatest r magnitude of what is always there, and colour g - r
    Kind.ASTEROID: (16.0, 20.4, 0.55),
    Kind.NEW_ASTEROID: (18.0, 20.5, 0.55),
    Kind.TRAIL: (16.5, 18.5, 0.6),
    Kind.RR_LYRAE: (15.5, 19.2, 0.2),
    Kind.ECLIPSING: (15.0, 18.8, 0.6),
    Kind.LONG_PERIOD: (13.8, 17.2, 1.5),
    Kind.VARIABLE: (16.5, 19.2, 0.7),
    Kind.AGN: (17.2, 19.4, 0.3),
    Kind.SN_IA: (17.0, 19.6, 0.0),
    Kind.SN_II: (17.5, 19.7, 0.2),
    Kind.MICROLENSING: (16.0, 19.0, 0.9),
    Kind.BOGUS: (17.5, 20.3, 0.0),
}


@dataclass(frozen=True)
class Population:
    """Objects of a field, one entry of each array per object.

    Parameters
    ----------
    kind : array of int
        See :class:`Kind`.
    ra, dec : array
        Degrees.
    mag : array
        r magnitude: of the star or nucleus at rest, of a transient at its peak, of a passing thing when seen.
    colour : array
        g - r.
    period, phase, amplitude : array
        Days, 0 to 1, magnitudes (periodic kinds); days, days from tonight, impact (events).
    exposure : array of int
        The one exposure in which a passing thing is seen; -1 for what stays.
    label : array of str
        Catalogue type, number of the asteroid, or empty.
    real : array of bool
        Whether the position is that of a catalogued star.
    """

    kind: Ints
    ra: Floats
    dec: Floats
    mag: Floats
    colour: Floats
    period: Floats
    phase: Floats
    amplitude: Floats
    exposure: Ints
    label: npt.NDArray[np.object_]
    real: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        """Give the number of objects."""
        return len(self.kind)

    def of(self, *kinds: Kind) -> npt.NDArray[np.bool_]:
        """Tell which objects are of one of the kinds."""
        return np.isin(self.kind, kinds)

    def take(self, places: Ints) -> Population:
        """Give some of the objects."""
        return Population(*(getattr(self, entry.name)[places] for entry in fields(self)))

    def with_more(self, other: Population) -> Population:
        """Give these objects and others."""
        return Population(
            *(np.concatenate([getattr(self, entry.name), getattr(other, entry.name)]) for entry in fields(self))
        )


def populate(rng: np.random.Generator, field: Field, alerts: float, trail: bool) -> Population:
    """Draw the objects of a field.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all draws.
    field : Field
        Where to put them.
    alerts : float
        About how many alerts they should give tonight.
    trail : bool
        Whether something crosses the field during an exposure.
    """
    kinds: list[Kind] = []
    for each, share in SHARES.items():
        kinds += [each] * int(rng.poisson(alerts * share * _abundance(each, field)))
    size = len(kinds)
    kind = np.array(kinds, np.int64)
    ra, dec = field.random_positions(rng, size)
    label = np.full(size, "", object)
    label[kind == Kind.ASTEROID] = [str(n) for n in rng.integers(2_000, 600_000, int((kind == Kind.ASTEROID).sum()))]
    real = np.zeros(size, np.bool_)
    for star_kind, invented in _INVENTED_TYPES.items():
        places = np.flatnonzero(kind == star_kind)
        known = real_stars(field, _REAL_TYPES[star_kind])
        taken = rng.permutation(len(known))[: int(REAL_STARS * len(places))]
        label[places] = invented
        for place, star in zip(places, taken, strict=False):
            ra[place], dec[place], label[place] = known[star]
            real[place] = True
    exposure = np.full(size, -1, np.int64)
    once = np.isin(kind, ONCE)
    exposure[once] = rng.integers(field.tonight, len(field.jd), once.sum())
    least, most, colour = (np.array([_BRIGHTNESS[k][column] for k in kinds], np.float64) for column in range(3))
    population = Population(
        kind,
        ra,
        dec,
        mag=least + (most - least) * rng.uniform(0.0, 1.0, size) ** 0.6,
        colour=colour + rng.normal(0.0, 0.1, size),
        period=_periods(rng, kind),
        phase=_phases(rng, kind),
        amplitude=_amplitudes(rng, kind),
        exposure=exposure,
        label=label,
        real=real,
    )
    population = _with_partners(rng, field, population)
    return _with_trail(rng, field, population) if trail else population


def _abundance(kind: Kind, field: Field) -> float:
    """Weigh a kind by where the field is: asteroids near the ecliptic, stars near the Galaxy, galaxies away from it."""
    if kind in (Kind.ASTEROID, Kind.NEW_ASTEROID):
        return 0.15 + 1.2 * float(np.exp(-abs(field.ecl_lat) / 15.0))
    if kind in STARS:
        return 0.5 + 0.8 * float(np.exp(-abs(field.gal_lat) / 20.0))
    if kind == Kind.AGN or kind in SUPERNOVAE:
        return 0.1 if abs(field.gal_lat) < 10.0 else 1.2
    return 1.0


def _periods(rng: np.random.Generator, kind: Ints) -> Floats:
    least = np.choose(kind, [1, 1, 1, 0.35, 0.2, 80, 1, 100, 20, 80, 10, 1]).astype(np.float64)
    most = np.choose(kind, [1, 1, 1, 0.85, 3, 400, 30, 400, 35, 120, 40, 1]).astype(np.float64)
    return least * (most / least) ** rng.uniform(0.0, 1.0, len(kind))


def _phases(rng: np.random.Generator, kind: Ints) -> Floats:
    """Draw a phase of 0 to 1, or for events when they happen, in days from tonight."""
    draw = rng.uniform(0.0, 1.0, len(kind))
    draw = np.where(np.isin(kind, SUPERNOVAE), -45.0 + 43.0 * draw, draw)
    return np.where(kind == Kind.MICROLENSING, -8.0 + 16.0 * draw, draw)


def _amplitudes(rng: np.random.Generator, kind: Ints) -> Floats:
    least = np.choose(kind, [0, 0, 0, 0.4, 0.25, 0.5, 0.25, 0.15, 0, 0, 0.05, 0]).astype(np.float64)
    most = np.choose(kind, [0, 0, 0, 1.1, 0.9, 2.5, 0.8, 0.35, 0, 0, 0.4, 0]).astype(np.float64)
    return least + (most - least) * rng.uniform(0.0, 1.0, len(kind))


def _with_partners(rng: np.random.Generator, field: Field, population: Population) -> Population:
    """Let half of the asteroids be seen again, further along, in another exposure of the night."""
    asteroids = np.flatnonzero(population.of(Kind.ASTEROID, Kind.NEW_ASTEROID))
    again = population.take(asteroids[rng.uniform(size=len(asteroids)) < 0.5])
    other = np.where(again.exposure == field.tonight, field.tonight + 1, field.tonight)
    days = field.jd[other] - field.jd[again.exposure]
    path_deg = rng.uniform(0.1, 0.25, len(again)) * days
    direction = rng.uniform(0.0, 2 * np.pi, len(again))
    ra, dec = _along(again.ra, again.dec, path_deg, direction)
    moved = replace(again, ra=ra, dec=dec, exposure=other)
    return population.with_more(moved.take(np.flatnonzero(field.contains(ra, dec))))


def _with_trail(rng: np.random.Generator, field: Field, population: Population) -> Population:
    """Add something fast that leaves several detections on a line in one exposure."""
    points = int(rng.integers(*TRAIL_POINTS, endpoint=True))
    path_deg = np.cumsum(rng.uniform(*TRAIL_STEP_ARCSEC, points)) * ARCSEC
    start_dec = field.dec + float(rng.uniform(-1.5, 1.5))
    ra, dec = _along(field.ra, start_dec, path_deg, float(rng.uniform(0.0, 2 * np.pi)))
    least, most, colour = _BRIGHTNESS[Kind.TRAIL]
    nothing = np.zeros(points)
    return population.with_more(
        Population(
            np.full(points, int(Kind.TRAIL)),
            ra,
            dec,
            mag=np.full(points, rng.uniform(least, most)),
            colour=nothing + colour,
            period=nothing + 1.0,
            phase=nothing,
            amplitude=nothing,
            exposure=np.full(points, field.tonight),
            label=np.full(points, "", object),
            real=np.zeros(points, np.bool_),
        )
    )


def _along(ra: Any, dec: Any, path_deg: Floats, direction: Any) -> tuple[Floats, Floats]:
    new_dec = dec + path_deg * np.sin(direction)
    return (ra + path_deg * np.cos(direction) / np.cos(np.radians(dec))) % 360.0, new_dec
