"""What catalogues and the reference image show near each object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fink_lib.simulator.synthetic.cadence import Field, Floats
from fink_lib.simulator.synthetic.kinds import HOSTED, NUCLEI, STARS, Kind
from fink_lib.simulator.synthetic.population import ARCSEC, Population

ABSENT = -999.0
NO_ASTEROID = "null"
HOST_OFFSET_ARCSEC = 1.6

NOTHING: dict[str, Any] = dict.fromkeys(
    (
        "candid isdiffpos tblid xpos ypos ra dec magpsf sigmapsf chipsf magap sigmagap distnr magnr sigmagnr chinr "
        "sharpnr sky magdiff fwhm classtar mindtoedge magfromlim seeratio aimage bimage aimagerat bimagerat elong nneg "
        "nbad rb ssdistnr ssmagnr ssnamenr sumrat magapbig sigmagapbig ranr decnr scorr"
    ).split()
)
"""Columns of a history entry that an exposure without a detection leaves null."""


@dataclass(frozen=True)
class Surroundings:
    """Neighbours of each object (arrays over objects; arcseconds, magnitudes, degrees).

    Parameters
    ----------
    distnr, magnr, ranr, decnr : array
        Nearest source of the reference image.
    sgscore, distpsnr, psmag : array of (3, object)
        Three nearest PS1 sources: star or galaxy, separation, r magnitude.
    neargaia, maggaia : array
        Nearest Gaia source.
    ssdistnr, ssnamenr : array
        Nearest known asteroid.
    host_ra, host_dec : array
        Of the galaxy beside a supernova; the object's own place otherwise.
    parallax, parallax_error : array
        Of the star (mas).
    """

    distnr: Floats
    magnr: Floats
    ranr: Floats
    decnr: Floats
    sgscore: Floats
    distpsnr: Floats
    psmag: Floats
    neargaia: Floats
    maggaia: Floats
    ssdistnr: Floats
    ssnamenr: npt.NDArray[np.object_]
    host_ra: Floats
    host_dec: Floats
    parallax: Floats
    parallax_error: Floats


def surroundings(rng: np.random.Generator, field: Field, population: Population) -> Surroundings:
    """Draw the neighbours of all objects of a field."""
    size = len(population)
    star, nova = population.of(*STARS), population.of(*HOSTED)
    core = star | population.of(*NUCLEI)
    asteroid = population.of(Kind.ASTEROID)
    close = np.clip(rng.rayleigh(0.12, size), 0.01, 0.45)
    offset = np.clip(rng.exponential(HOST_OFFSET_ARCSEC, size), 0.1, 8.0)
    angle = rng.uniform(0.0, 2 * np.pi, size)
    apart = np.select([core, nova], [close, offset], rng.uniform(6.0, 25.0, size))
    near_ra, near_dec = _beside(population, apart, angle)
    host_mag = rng.uniform(15.5, 20.0, size)
    far_mag = rng.uniform(19.5, 22.5, size)
    ps_mag = np.select([nova, core], [host_mag, population.mag], far_mag)
    score = np.select(
        [star, nova, population.of(Kind.NEW_ASTEROID)],
        [rng.uniform(0.9, 1.0, size), rng.uniform(0.0, 0.12, size), rng.uniform(0.0, 0.95, size)],
        rng.uniform(0.0, 1.0, size),
    )
    further = apart + np.cumsum(rng.uniform(2.0, 9.0, (2, size)), axis=0)
    return Surroundings(
        distnr=np.where(core | nova, apart, rng.uniform(2.5, 20.0, size)),
        magnr=np.where(nova, host_mag + 0.6, far_mag + 0.5),
        ranr=near_ra,
        decnr=near_dec,
        sgscore=np.vstack([score, rng.uniform(0.0, 1.0, (2, size))]),
        distpsnr=np.vstack([apart, further]),
        psmag=np.vstack([ps_mag, rng.uniform(17.0, 22.5, (2, size))]),
        neargaia=np.where(core, close, rng.uniform(5.0, 60.0, size)),
        maggaia=np.where(core, population.mag, rng.uniform(15.0, 20.5, size)),
        ssdistnr=np.where(asteroid, rng.uniform(0.05, 1.8, size), ABSENT),
        ssnamenr=np.where(asteroid, population.label, NO_ASTEROID),
        host_ra=np.where(nova, near_ra, population.ra),
        host_dec=np.where(nova, near_dec, population.dec),
        parallax=np.where(star, rng.exponential(0.6, size) + 0.02, rng.normal(0.0, 0.15, size)),
        parallax_error=0.02 + 0.2 * 10 ** (0.3 * (np.clip(population.mag, 14.0, 20.0) - 20.0)),
    )


def _beside(population: Population, arcsec: Floats, angle: Floats) -> tuple[Floats, Floats]:
    dec = population.dec + arcsec * ARCSEC * np.sin(angle)
    ra = population.ra + arcsec * ARCSEC * np.cos(angle) / np.cos(np.radians(population.dec))
    return ra % 360.0, dec
