"""Places on the sky: what clients write for them, and how far apart they are."""

from __future__ import annotations

import math
import re

import numpy as np
import numpy.typing as npt

from fink_lib.api.problems import ApiError, ArgumentFault, bad_argument

Floats = npt.NDArray[np.float64]

MOST_ARCSEC = 18_000.0
MOST_TEXT = 100
_PLAIN = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def read_position(ra: str, dec: str) -> tuple[float, float]:
    """Read a position as people write it.

    Parameters
    ----------
    ra, dec : str
        Degrees; ``10h20m30s`` and ``-3d04m05s``; or hours and degrees with colons or blanks, ``10:20:30 -3:04:05``.

    Returns
    -------
    tuple of float
        Right ascension, 0 to 360, and declination (ICRS, deg).

    Raises
    ------
    ApiError
        If it is no position; the body shows astropy's exception.
    """
    if len(ra) > MOST_TEXT or len(dec) > MOST_TEXT:
        raise bad_argument("ra", f"and `dec` must not be longer than {MOST_TEXT} characters")
    if _PLAIN.fullmatch(ra) and _PLAIN.fullmatch(dec) and abs(float(dec)) <= 90 and math.isfinite(float(ra)):
        return float(ra) % 360.0, float(dec)
    # astropy takes a second to import; most positions are plain numbers
    from astropy import units
    from astropy.coordinates import SkyCoord

    try:
        if re.search("[a-zA-Z]", ra + dec) or _PLAIN.fullmatch(ra):
            place = SkyCoord(ra, dec, unit=(units.deg, units.deg))
        else:
            place = SkyCoord(ra, dec, unit=(units.hourangle, units.deg))
        found = float(place.ra.deg), float(place.dec.deg)
    except (ValueError, TypeError, units.UnitsError, ArithmeticError) as error:
        raise ApiError("bad-argument", f"{error}\n", (ArgumentFault("ra, dec", "no position"),), shown=error) from error
    if not all(map(math.isfinite, found)):
        raise bad_argument("ra", "and `dec` must be finite")
    return found


def read_radius(radius_arcsec: float) -> float:
    """Check the radius of a cone; gives it in degrees.

    Raises
    ------
    ApiError
        If it is negative, or larger than :data:`MOST_ARCSEC`.
    """
    if radius_arcsec > MOST_ARCSEC:
        text = "`radius` cannot be bigger than 18,000 arcseconds (5 degrees).\n"
        raise ApiError("bad-argument", text, (ArgumentFault("radius", "too large"),))
    if radius_arcsec < 0:
        raise bad_argument("radius", "must not be negative")
    return radius_arcsec / 3600


def separation_deg(ra_deg: float, dec_deg: float, ra: Floats, dec: Floats) -> Floats:
    """Give the angle between a place and others (all in degrees); exact for small and large ones.

    Vincenty's formula, which is what astropy uses (Vincenty 1975, Survey Review 23, 88).
    """
    lat, lats, step = math.radians(dec_deg), np.radians(dec), np.radians(ra - ra_deg)
    cos_step = np.cos(step)
    across = np.hypot(
        np.cos(lats) * np.sin(step), math.cos(lat) * np.sin(lats) - math.sin(lat) * np.cos(lats) * cos_step
    )
    along = math.sin(lat) * np.sin(lats) + math.cos(lat) * np.cos(lats) * cos_step
    result: Floats = np.degrees(np.arctan2(across, along))
    return result


def near(ra_deg: float, dec_deg: float, radius_deg: float, ra: Floats, dec: Floats) -> npt.NDArray[np.int64]:
    """Give the numbers of the places within a cone, its edge included; a million places take milliseconds."""
    band = np.flatnonzero(np.abs(dec - dec_deg) <= radius_deg + 1e-9)
    inside: npt.NDArray[np.int64] = band[separation_deg(ra_deg, dec_deg, ra[band], dec[band]) <= radius_deg]
    return inside
