"""What shines in a synthetic field: where things are, what they look like when nothing happens, when it happens."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fink_lib.simulator.synthetic.cadence import Field, Floats, Ints
from fink_lib.simulator.synthetic.kinds import (
    AMPLITUDES,
    BRIGHTNESS,
    EVENT_DAYS,
    EXPLOSIONS,
    INVENTED_TYPES,
    NUCLEI,
    ONCE,
    PEAK_ABSOLUTE_MAG,
    PERIODS,
    REAL_TYPES,
    SHARES,
    STARS,
    Kind,
    Table,
)
from fink_lib.simulator.synthetic.stars import near_galaxies, real_stars

KILONOVA_MAG = (-16.8, -15.8)
"""Absolute magnitudes at the peak: AT 2017gfo was at -16 (Villar et al. 2017, ApJ 851, L21)."""

NEAR_SUPERNOVAE = 0.15
"""Part of the supernovae that sit, as all kilonovae do, beside a catalogued galaxy, as far as a field has near ones."""

GALAXY_OFFSET_KPC = (1.0, 8.0)
PEAK_SCATTER_MAG = 0.3
HUBBLE_KM_S_MPC = 70.0
LIGHT_KM_S = 299_792.458
DECELERATION = -0.55
REAL_STARS = 0.7
"""Part of the variable stars of a type that sit where a real one does, as far as there are enough."""

TRAIL_POINTS = (6, 12)
TRAIL_STEP_ARCSEC = (40.0, 110.0)
ARCSEC = 1.0 / 3600.0


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
        Days, 0 to 1, magnitudes (periodic kinds); days, days from tonight, impact or magnitudes (events).
    redshift : array
        Of what is outside our Galaxy and has one; else NaN.
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
    redshift: Floats
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
    for star_kind, invented in INVENTED_TYPES.items():
        places = np.flatnonzero(kind == star_kind)
        known = real_stars(field, REAL_TYPES[star_kind])
        taken = rng.permutation(len(known))[: int(REAL_STARS * len(places))]
        label[places] = invented
        for place, star in zip(places, taken, strict=False):
            ra[place], dec[place], label[place] = known[star]
            real[place] = True
    distance_mpc = np.full(size, np.nan)
    aside = rng.spawn(1)[0]
    supernovae = np.flatnonzero(np.isin(kind, (Kind.SN_IA, Kind.SN_II)))
    _put_beside_galaxies(rng, field, np.flatnonzero(kind == Kind.KILONOVA), ra, dec, distance_mpc)
    near = supernovae[aside.uniform(size=len(supernovae)) < NEAR_SUPERNOVAE]
    _put_beside_galaxies(aside, field, near, ra, dec, distance_mpc)
    exposure = np.full(size, -1, np.int64)
    once = np.isin(kind, ONCE)
    exposure[once] = rng.integers(field.tonight, len(field.jd), once.sum())
    least, most, colour = (np.array([BRIGHTNESS[k][column] for k in kinds], np.float64) for column in range(3))
    mag = least + (most - least) * rng.uniform(0.0, 1.0, size) ** 0.6
    for draws, hosted in ((rng, kind == Kind.KILONOVA), (aside, kind != Kind.KILONOVA)):
        hosted &= np.isfinite(distance_mpc)
        mag[hosted] = _peaks(draws, kind[hosted]) + 25.0 + 5.0 * np.log10(distance_mpc[hosted])
    population = Population(
        kind,
        ra,
        dec,
        mag=mag,
        colour=colour + rng.normal(0.0, 0.1, size),
        period=_periods(rng, kind),
        phase=_drawn(rng, kind, EVENT_DAYS, (0.0, 1.0)),
        amplitude=_drawn(rng, kind, AMPLITUDES, (0.0, 0.0)),
        redshift=_redshifts(kind, mag, distance_mpc),
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
    if kind in NUCLEI or kind in EXPLOSIONS or kind == Kind.AFTERGLOW:
        return 0.1 if abs(field.gal_lat) < 10.0 else 1.2
    return 1.0


def _put_beside_galaxies(
    rng: np.random.Generator, field: Field, places: Ints, ra: Floats, dec: Floats, distance_mpc: Floats
) -> None:
    """Move some explosions beside real galaxies that are near enough, and note the distances (Mpc)."""
    galaxies = near_galaxies(field)
    taken = rng.permutation(len(galaxies))[: len(places)]
    apart_kpc = rng.uniform(*GALAXY_OFFSET_KPC, len(places))
    direction = rng.uniform(0.0, 2 * np.pi, len(places))
    for place, number, kpc, angle in zip(places, taken, apart_kpc, direction, strict=False):
        galaxy = galaxies[number]
        apart_deg = np.degrees(kpc / 1000.0 / galaxy.ang_dist_mpc)
        beside_ra, beside_dec = _along(galaxy.ra, galaxy.dec, apart_deg, angle)
        if field.contains(beside_ra, beside_dec):
            ra[place], dec[place], distance_mpc[place] = beside_ra, beside_dec, galaxy.lum_dist_mpc


def _peaks(rng: np.random.Generator, kind: Ints) -> Floats:
    """Draw absolute magnitudes at the peak."""
    least, most = _limits(
        kind,
        {each: (mag - PEAK_SCATTER_MAG, mag + PEAK_SCATTER_MAG) for each, mag in PEAK_ABSOLUTE_MAG.items()},
        KILONOVA_MAG,
    )
    return rng.uniform(least, most)


def _redshifts(kind: Ints, mag: Floats, distance_mpc: Floats) -> Floats:
    """Give redshifts from luminosity distances: those of hosts, else those at which a peak looks as bright as it does.

    To second order in z: c z (1 + (1 - q0) z / 2) = H0 d.
    """
    absolute = np.array([PEAK_ABSOLUTE_MAG.get(Kind(each), np.nan) for each in kind.tolist()])
    lum_dist_mpc = np.where(np.isfinite(distance_mpc), distance_mpc, 10 ** ((mag - absolute - 25.0) / 5.0))
    slope = (1.0 - DECELERATION) / 2.0
    return np.asarray((np.sqrt(1.0 + 4.0 * slope * HUBBLE_KM_S_MPC * lum_dist_mpc / LIGHT_KM_S) - 1.0) / (2.0 * slope))


def _periods(rng: np.random.Generator, kind: Ints) -> Floats:
    least, most = _limits(kind, PERIODS, (1.0, 1.0))
    return np.asarray(least * (most / least) ** rng.uniform(0.0, 1.0, len(kind)))


def _drawn(rng: np.random.Generator, kind: Ints, table: Table, otherwise: tuple[float, float]) -> Floats:
    least, most = _limits(kind, table, otherwise)
    return np.asarray(least + (most - least) * rng.uniform(0.0, 1.0, len(kind)))


def _limits(kind: Ints, table: Table, otherwise: tuple[float, float]) -> tuple[Floats, Floats]:
    rows = np.array([table.get(Kind(each), otherwise) for each in kind.tolist()]).reshape(-1, 2)
    return rows[:, 0], rows[:, 1]


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
    least, most, colour = BRIGHTNESS[Kind.TRAIL]
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
            redshift=np.full(points, np.nan),
            exposure=np.full(points, field.tonight),
            label=np.full(points, "", object),
            real=np.zeros(points, np.bool_),
        )
    )


def _along(ra: Any, dec: Any, path_deg: Any, direction: Any) -> tuple[Floats, Floats]:
    new_dec = dec + path_deg * np.sin(direction)
    return (ra + path_deg * np.cos(direction) / np.cos(np.radians(dec))) % 360.0, new_dec
