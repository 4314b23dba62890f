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
