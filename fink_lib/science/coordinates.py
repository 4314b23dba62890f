"""Galactic and ecliptic latitude, vectorised.

Only latitudes are needed, and they are one dot product with the pole's direction; the full frame machinery of astropy
costs a thousand times more per batch. The tests compare with astropy.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

GALACTIC_POLE_DEG = (192.85948, 27.12825)
"""North galactic pole, ICRS (The Hipparcos and Tycho Catalogues, ESA SP-1200, 1997, vol. 1, eq. 1.5.9)."""

OBLIQUITY_J2000_DEG = 84381.406 / 3600
"""Mean obliquity of the ecliptic at J2000 (IAU 2006; Capitaine, Wallace & Chapront 2003, A&A 412, 567)."""

ECLIPTIC_POLE_DEG = (270.0, 90.0 - OBLIQUITY_J2000_DEG)
"""North pole of the mean ecliptic of J2000; the frame bias between ICRS and J2000 (0.02 arcsec) is left out."""


def unit_vectors(ra_deg: Floats, dec_deg: Floats) -> Floats:
    """Give directions as unit vectors.

    Parameters
    ----------
    ra_deg, dec_deg : ndarray
        Position (deg); any number of turns.

    Returns
    -------
    ndarray
        Shape (n, 3).
    """
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    cos_dec = np.cos(dec)
    return np.stack([cos_dec * np.cos(ra), cos_dec * np.sin(ra), np.sin(dec)], axis=-1)


def latitude(ra_deg: Floats, dec_deg: Floats, pole_deg: tuple[float, float]) -> Floats:
    """Give the latitude above the great circle of a pole.

    Parameters
    ----------
    ra_deg, dec_deg : ndarray
        ICRS position (deg).
    pole_deg : tuple of float
        ICRS position of the pole (deg).

    Returns
    -------
    ndarray
        Latitude (deg), -90 to 90; NaN where the position is.
    """
    px, py, pz = unit_vectors(np.array([pole_deg[0]]), np.array([pole_deg[1]]))[0]
    x, y, z = unit_vectors(ra_deg, dec_deg).T
    # Written out, not as a matrix product: a BLAS may round differently in batches of different size.
    along = x * px + y * py + z * pz
    across = np.sqrt((y * pz - z * py) ** 2 + (z * px - x * pz) ** 2 + (x * py - y * px) ** 2)
    result: Floats = np.degrees(np.arctan2(along, across))
    return result


def galactic_latitude(ra_deg: Floats, dec_deg: Floats) -> Floats:
    """Galactic latitude (deg) of ICRS positions (deg)."""
    return latitude(ra_deg, dec_deg, GALACTIC_POLE_DEG)


def ecliptic_latitude(ra_deg: Floats, dec_deg: Floats) -> Floats:
    """Latitude above the mean ecliptic of J2000 (deg) of ICRS positions (deg)."""
    return latitude(ra_deg, dec_deg, ECLIPTIC_POLE_DEG)
