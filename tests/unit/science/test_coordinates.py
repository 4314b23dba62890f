"""Latitudes agree with astropy's frames."""

from __future__ import annotations

import astropy.units as u
import numpy as np
from astropy.coordinates import BarycentricMeanEcliptic, SkyCoord

from fink_lib.science.coordinates import ecliptic_latitude, galactic_latitude

ARCSEC = 1 / 3600


def positions() -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(7)
    ra = np.concatenate([draw.uniform(0, 360, 500), [0, 192.85948, 266.4051, 270.0, 0.0, 0.0]])
    dec = np.concatenate([np.degrees(np.arcsin(draw.uniform(-1, 1, 500))), [0, 27.12825, -28.936175, 66.56, 90, -90]])
    return ra, dec


def test_galactic_latitude_agrees_with_astropy() -> None:
    ra, dec = positions()
    expected = SkyCoord(ra * u.deg, dec * u.deg).galactic.b.deg
    np.testing.assert_allclose(galactic_latitude(ra, dec), expected, atol=0.1 * ARCSEC)


def test_ecliptic_latitude_agrees_with_astropy() -> None:
    ra, dec = positions()
    expected = SkyCoord(ra * u.deg, dec * u.deg).transform_to(BarycentricMeanEcliptic(equinox="J2000")).lat.deg
    np.testing.assert_allclose(ecliptic_latitude(ra, dec), expected, atol=0.1 * ARCSEC)


def test_a_position_that_is_not_there_has_no_latitude() -> None:
    assert np.isnan(galactic_latitude(np.array([np.nan]), np.array([0.0]))).all()
