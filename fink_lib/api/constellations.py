"""Names of constellations at positions, as astropy gives them, and a hundred times quicker.

The borders are lines of right ascension and declination of the equinox B1875 (Roman 1987, PASP 99, 695). The way there
from ICRS is one rotation, and a shift by the aberration of a fixed date; both are taken from astropy once.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from astropy import units
from astropy.coordinates import PrecessedGeocentric, SkyCoord, get_constellation
from astropy.utils import iers
from astropy.utils.data import get_pkg_data_contents

from fink_lib.science.coordinates import unit_vectors

Floats = npt.NDArray[np.float64]

_BORDERS = "data/constellation_data_roman87.dat"
_AXES = np.array([[0.0, 0.0], [90.0, 0.0], [0.0, 90.0], [180.0, 0.0], [270.0, 0.0], [0.0, -90.0]])
"""Right ascension and declination (deg) of the three axes, and of their opposites."""


def constellations_at(ra_deg: Floats, dec_deg: Floats) -> npt.NDArray[np.str_]:
    """Name the constellations at positions.

    Parameters
    ----------
    ra_deg, dec_deg : ndarray
        ICRS (deg), finite.
    """
    rotation, shift = _to_b1875()
    x, y, z = rotation @ (unit_vectors(ra_deg, dec_deg) + shift).T
    hours = np.mod(np.degrees(np.arctan2(y, x)), 360) / 15
    declination = np.degrees(np.arctan2(z, np.hypot(x, y)))
    first, last, lowest, names = _borders()
    inside = (hours[:, None] >= first) & (hours[:, None] < last) & (declination[:, None] > lowest)
    found: npt.NDArray[np.str_] = names[inside.argmax(axis=1)]
    return found


@lru_cache(maxsize=1)
def _to_b1875() -> tuple[Floats, Floats]:
    """Give rotation and shift: a direction becomes ``rotation @ (direction + shift)``."""
    iers.conf.auto_download = False  # no answer waits for somebody else's server
    places = SkyCoord(*_AXES.T, unit=units.deg).transform_to(PrecessedGeocentric(equinox="B1875"))
    seen = unit_vectors(places.ra.deg, places.dec.deg)
    rotation = (seen[:3] - seen[3:]).T / 2
    # of each axis only the part of the shift across it shows, so that three of them show it twice
    shift = np.linalg.solve(rotation, seen.sum(axis=0) / 4)
    return rotation, shift


@lru_cache(maxsize=1)
def _borders() -> tuple[Floats, Floats, Floats, npt.NDArray[np.str_]]:
    """Give the borders in the order in which they count, and the full name of each."""
    lines = get_pkg_data_contents(_BORDERS, package="astropy.coordinates").splitlines()
    rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    first, last, lowest = (np.array([float(row[place]) for row in rows]) for place in range(3))
    return first, last, lowest, _full_names([row[3] for row in rows])


def _full_names(short: list[str]) -> npt.NDArray[np.str_]:
    """Give full names for abbreviations: astropy is asked at a place of each."""
    places = np.random.default_rng(0).uniform(size=(20_000, 2))
    sky = SkyCoord(360 * places[:, 0], np.degrees(np.arcsin(2 * places[:, 1] - 1)), unit=units.deg)
    pairs = zip(get_constellation(sky, short_name=True), get_constellation(sky), strict=True)
    full = {str(one).casefold(): str(name) for one, name in pairs}
    return np.array([full[one.casefold()] for one in short])
