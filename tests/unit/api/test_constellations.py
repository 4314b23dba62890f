"""Constellations, against astropy."""

from __future__ import annotations

import numpy as np
from astropy import units
from astropy.coordinates import SkyCoord, get_constellation

from fink_lib.api.constellations import constellations_at


def test_they_are_those_of_astropy_all_over_the_sky():
    random = np.random.default_rng(7)
    ra, dec = random.uniform(0, 360, 20_000), np.degrees(np.arcsin(random.uniform(-1, 1, 20_000)))
    expected = get_constellation(SkyCoord(ra, dec, unit=units.deg))
    assert (constellations_at(ra, dec) == expected).all()
    assert len(set(expected)) == 88


def test_poles_and_meridian_have_one_too():
    ra, dec = np.array([0.0, 123.0, 0.0, 360.0]), np.array([90.0, -90.0, 0.0, 0.0])
    assert constellations_at(ra, dec).tolist() == ["Ursa Minor", "Octans", "Pisces", "Pisces"]
