"""Cones on the sky: whatever lies in one is in the ranges that cover it, and the ranges are few."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fink_lib.archive.sky import FINE_RADIUS_DEG, PARTS, PIXELS, cone_ranges, pixel_of, pixel_ranges

places = st.tuples(st.floats(0, 360), st.floats(-1, 1).map(lambda z: float(np.degrees(np.arcsin(z)))))


def around(ra: float, dec: float, radius_deg: float, number: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Give places at most a radius away (deg)."""
    random = np.random.default_rng(seed)
    distance = np.radians(radius_deg) * np.sqrt(random.random(number))
    angle = random.uniform(0, 2 * np.pi, number)
    dec0 = np.radians(dec)
    sine = np.sin(dec0) * np.cos(distance) + np.cos(dec0) * np.sin(distance) * np.cos(angle)
    there = np.arcsin(np.clip(sine, -1, 1))
    east = np.arctan2(np.sin(angle) * np.sin(distance) * np.cos(dec0), np.cos(distance) - np.sin(dec0) * sine)
    return np.degrees(np.radians(ra) + east) % 360, np.degrees(there)


@settings(max_examples=60, deadline=None)
@given(places, st.sampled_from([0.0, 1e-4, 1 / 60, 0.09, 0.2, 1.0, 5.0]), st.integers(0, 99))
def test_what_lies_in_a_cone_is_in_its_ranges(place, radius_deg, seed):
    pixels, parts = pixel_of(*around(*place, radius_deg, 50, seed))
    ranges = cone_ranges(*place, radius_deg)
    for where in zip(pixels.tolist(), parts.tolist(), strict=True):
        assert any(start <= where < stop for start, stop in ranges)


@pytest.mark.parametrize(("radius_deg", "most"), [(1 / 60, 8), (FINE_RADIUS_DEG, 40), (0.5, 6), (5.0, 60)])
def test_a_cone_takes_few_ranges(radius_deg, most):
    random = np.random.default_rng(1)
    for ra, z in zip(random.uniform(0, 360, 50), random.uniform(-1, 1, 50), strict=True):
        assert 0 < len(cone_ranges(ra, np.degrees(np.arcsin(z)), radius_deg)) <= most


def test_neighbouring_pixels_are_one_range():
    assert pixel_ranges([7, 9, 8, 100]) == [((7, 0), (10, 0)), ((100, 0), (101, 0))]
    assert pixel_ranges([]) == []


def test_every_place_has_a_pixel():
    random = np.random.default_rng(2)
    pixels, parts = pixel_of(random.uniform(-720, 720, 1000), np.degrees(np.arcsin(random.uniform(-1, 1, 1000))))
    assert pixels.min() >= 0 and pixels.max() < PIXELS
    assert parts.min() >= 0 and parts.max() < PARTS and len(np.unique(parts)) == PARTS
    assert pixel_of(np.zeros(0), np.zeros(0))[0].tolist() == []


places_apart = st.lists(places, min_size=1, max_size=30)


@settings(max_examples=200, deadline=None)
@given(places_apart)
def test_pixels_are_those_of_the_reference_library(many):
    from astropy import units as u
    from astropy.coordinates import Latitude, Longitude
    from cdshealpix import nested, ring

    ra, dec = (np.array(values) for values in zip(*many, strict=True))
    where = Longitude(ra % 360, u.deg), Latitude(dec, u.deg)
    pixels, parts = pixel_of(ra, dec)
    fine = nested.lonlat_to_healpix(*where, 10).astype(np.int64)
    right = (pixels == ring.lonlat_to_healpix(*where, 128).astype(np.int64)) & (parts == fine % PARTS)
    # On the very edge of a pixel the last bit of the sine decides; then the neighbour is as good.
    moved = [pixel_of(ra + east, np.clip(dec + north, -90, 90)) for east in (-1e-9, 1e-9) for north in (-1e-9, 1e-9)]
    edge = np.any([(near[0] != pixels) | (near[1] != parts) for near in moved], axis=0)
    assert np.all(right | edge)


def test_pixels_of_many_places_are_those_of_the_reference_library():
    from astropy import units as u
    from astropy.coordinates import Latitude, Longitude
    from cdshealpix import nested, ring

    random = np.random.default_rng(3)
    ra, dec = random.uniform(0, 360, 200_000), np.degrees(np.arcsin(random.uniform(-1, 1, 200_000)))
    dec[:2000] = 90 - np.abs(random.normal(0, 1e-3, 2000))  # close to a pole
    where = Longitude(ra, u.deg), Latitude(dec, u.deg)
    pixels, parts = pixel_of(ra, dec)
    assert np.array_equal(pixels, ring.lonlat_to_healpix(*where, 128).astype(np.int64))
    assert np.array_equal(parts, nested.lonlat_to_healpix(*where, 10).astype(np.int64) % PARTS)
