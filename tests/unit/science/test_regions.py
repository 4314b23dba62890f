"""Regions of sky maps and circles: areas, cells and places inside, against other software and by hand."""

from __future__ import annotations

import gzip

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from hypothesis import given
from hypothesis import strategies as st
from mocpy import MOC

from fink_lib.errors import DataError
from fink_lib.science.catalogs.catalog import healpix_index
from fink_lib.science.multimessenger.regions import (
    COARSE,
    SkyMap,
    cap_area_sr,
    cap_radius_deg,
    cells_of,
    coarse_cells_of_cap,
    coarse_cells_of_region,
    credible_region,
    densest_place,
    in_cap,
    in_region,
    read_skymap,
    region_area_sr,
)
from tests.unit.science.notices import flat_skymap, skymap
from tests.unit.science.reference import SHARED_DATA

BAYESTAR = SHARED_DATA / "gcn" / "bayestar.fits.gz"


def sky(number: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """Scatter places over the sphere."""
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 360, number), np.degrees(np.arcsin(rng.uniform(-1, 1, number)))


def test_numbers_of_cells_are_split_into_order_and_cell() -> None:
    orders, cells = cells_of(np.array([4, 15, 16, 63, 4 * 4**29 + 12 * 4**29 - 1]))
    assert orders.tolist() == [0, 0, 1, 1, 29]
    assert cells.tolist() == [0, 11, 0, 47, 12 * 4**29 - 1]


def test_a_multi_order_map_is_read_as_it_was_written() -> None:
    found = read_skymap(skymap([4, 20, 21], [0.5, 0.25, 0.0]))
    assert (found.uniq.tolist(), found.density.tolist()) == ([4, 20, 21], [0.5, 0.25, 0.0])
    assert found.area_sr == pytest.approx([np.pi / 3, np.pi / 12, np.pi / 12])


def test_a_flat_map_is_the_same_in_both_orderings() -> None:
    probability = np.zeros(12 * 4**2)
    probability[[7, 100]] = 0.25, 0.75
    nested = read_skymap(gzip.compress(flat_skymap(probability, "NESTED")))
    ra, dec = sky(500)
    for place in (7, 100):
        cell = nested.uniq[place : place + 1]
        assert in_region(cell, ra, dec).tolist() == (healpix_index(ra, dec, 2) == place).tolist()
    ring = read_skymap(flat_skymap(probability, "RING"))
    assert sorted(ring.uniq.tolist()) == sorted(nested.uniq.tolist())
    assert (ring.density * ring.area_sr).sum() == pytest.approx(1)


@pytest.mark.parametrize(
    "file",
    [
        b"",
        b"\x1f\x8b broken",
        skymap([], []),
        skymap([3], [1.0]),
        skymap([4], [np.nan]),
        skymap([4], [-1.0]),
        skymap([4, 5], [0.0, 0.0]),
        skymap([4 * 4**30], [1.0]),
        flat_skymap(np.ones(48), "SPIRAL"),
        flat_skymap(np.ones(50), "NESTED"),
    ],
)
def test_what_is_no_map_is_refused(file: bytes) -> None:
    with pytest.raises(DataError, match="bad_skymap"):
        read_skymap(file)


def test_the_credible_region_takes_the_densest_cells_first() -> None:
    # one cell of order 0 with 40 %, two of order 1 with 50 % and 10 %: the small ones are denser
    area = np.pi / 3
    found = SkyMap(np.array([5, 16, 17]), np.array([0.4 / area, 0.5 / (area / 4), 0.1 / (area / 4)]))
    assert credible_region(found, 0.45).tolist() == [16]
    assert credible_region(found, 0.499).tolist() == [16]
    assert credible_region(found, 0.55).tolist() == [5, 16]
    assert credible_region(found, 0.95).tolist() == [5, 16, 17]
    assert region_area_sr(credible_region(found, 0.55)) == pytest.approx(1.25 * area)


def test_a_map_that_does_not_sum_to_one_has_the_same_region() -> None:
    found = SkyMap(np.array([5, 6, 7]), np.array([3.0, 2.0, 1.0]))
    assert credible_region(found, 0.49).tolist() == [5]
    assert credible_region(found, 0.51).tolist() == [5, 6]


@given(st.integers(0, 1000))
def test_places_in_a_region_are_those_that_mocpy_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    base = rng.permutation(48)[:6]
    orders = rng.integers(1, 6, 6)
    uniq = np.array([4 * 4**o + (cell << 2 * (o - 1)) for cell, o in zip(base.tolist(), orders.tolist(), strict=True)])
    moc = MOC.from_healpix_cells(
        np.array([cell << 2 * (o - 1) for cell, o in zip(base.tolist(), orders.tolist(), strict=True)], np.uint64),
        orders.astype(np.uint8),
        29,
    )
    ra, dec = sky(300, seed)
    inside = moc.contains_lonlat(ra * u.deg, dec * u.deg)
    assert in_region(uniq, ra, dec).tolist() == inside.tolist()
    assert region_area_sr(uniq) == pytest.approx(moc.sky_fraction * 4 * np.pi)
    coarse = coarse_cells_of_region(uniq)
    assert set(healpix_index(ra[inside], dec[inside], COARSE).tolist()) <= set(coarse.tolist())


@given(st.floats(0, 359.9), st.floats(-90, 90), st.floats(0.01, 170))
def test_places_in_a_circle_are_those_that_astropy_finds(ra0: float, dec0: float, radius: float) -> None:
    ra, dec = sky(300)
    centre = SkyCoord(ra0, dec0, unit="deg")
    distance = centre.separation(SkyCoord(ra, dec, unit="deg")).deg
    clear = np.abs(distance - radius) > 1e-9
    inside = in_cap(ra0, dec0, radius, ra, dec)
    assert inside[clear].tolist() == (distance < radius)[clear].tolist()
    coarse = coarse_cells_of_cap(ra0, dec0, radius)
    assert set(healpix_index(ra[inside], dec[inside], COARSE).tolist()) <= set(coarse.tolist())


def test_a_circle_leaves_out_its_edge_and_most_of_the_sky() -> None:
    assert in_cap(10.0, 0.0, 1.0, np.array([11.0, 10.999999]), np.zeros(2)).tolist() == [False, True]
    assert len(coarse_cells_of_cap(10.0, 0.0, 1.0)) <= 4
    assert len(coarse_cells_of_cap(10.0, 0.0, 120.0)) == 192


def test_area_and_radius_of_a_circle_belong_together() -> None:
    assert float(cap_area_sr(90.0)) == pytest.approx(2 * np.pi)
    assert float(cap_area_sr(1.0)) == pytest.approx(np.pi * np.radians(1) ** 2, rel=1e-4)
    assert [cap_radius_deg(float(cap_area_sr(r))) for r in (0.1, 30.0, 180.0)] == pytest.approx([0.1, 30.0, 180.0])


def test_the_densest_place_is_the_centre_of_its_cell() -> None:
    ra, dec = densest_place(SkyMap(np.array([4 * 4**3 + 100, 4 * 4**3 + 101]), np.array([1.0, 2.0])))
    assert healpix_index(np.array([ra]), np.array([dec]), 3).tolist() == [101]


@pytest.mark.skipif(not BAYESTAR.exists(), reason="the shared sky map is not installed")
def test_the_region_of_a_real_map_agrees_with_mocpy() -> None:
    found = read_skymap(BAYESTAR.read_bytes())
    probability = found.density * found.area_sr
    assert probability.sum() == pytest.approx(1)
    region = credible_region(found)
    moc = MOC.from_valued_healpix_cells(found.uniq.astype(np.uint64), probability, max_depth=9, cumul_to=0.9)
    assert region_area_sr(region) == pytest.approx(moc.sky_fraction * 4 * np.pi, rel=1e-3)
    kept = np.isin(found.uniq, region)
    assert 0.9 <= probability[kept].sum() < 0.9001
    assert found.density[kept].min() >= found.density[~kept].max()
