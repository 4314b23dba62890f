"""Trails are found among unrelated sources, whatever the order, and no trail is made of chance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fink_lib.science.coordinates import unit_vectors
from fink_lib.science.tracklets import (
    NEIGHBOUR_DEG,
    connected,
    exposure_stamp,
    find_tracklets,
    is_trail_candidate,
    neighbour_radius,
)
from tests.unit.science.reference import ENRICHED, read_records

JD = 2459369.9001157
STAMP = "TRCK_20210604_093610"
CENTRE = (150.0, 20.0)
FIELD_DEG = 6.8
"""Side of ZTF's field of view, 47 square degrees (Bellm et al. 2019, PASP 131, 018002)."""

Sky = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


def background(rng: np.random.Generator, number: int) -> Sky:
    """Scatter unrelated sources over one exposure."""
    x, y = rng.uniform(-FIELD_DEG / 2, FIELD_DEG / 2, (2, number))
    return CENTRE[0] + x / np.cos(np.radians(CENTRE[1] + y)), CENTRE[1] + y


def trail(rng: np.random.Generator, number: int, spacing_arcsec: float, bend: float = 0.0) -> Sky:
    """Give glints in a row, with irregular gaps and 0.3 arcsec of scatter; `bend` in arcsec per degree squared."""
    along = np.cumsum(rng.uniform(0.5, 1.5, number)) * spacing_arcsec
    along -= along.mean()
    across = rng.normal(0, 0.3, number) + bend * (along / 3600) ** 2
    angle, (x0, y0) = rng.uniform(0, 2 * np.pi), rng.uniform(-2, 2, 2)
    dec = CENTRE[1] + y0 + (along * np.sin(angle) + across * np.cos(angle)) / 3600
    ra = CENTRE[0] + (x0 + (along * np.cos(angle) - across * np.sin(angle)) / 3600) / np.cos(np.radians(dec))
    return ra, dec


def together(*parts: Sky) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Give id, ra, dec of several sets of sources in one exposure."""
    ra, dec = (np.concatenate(one) for one in zip(*parts, strict=True))
    return np.arange(len(ra)) + 1000, ra, dec


def names_of(*parts: Sky, jd: float = JD) -> np.ndarray[Any, Any]:
    candid, ra, dec = together(*parts)
    return find_tracklets(candid, np.full(len(candid), jd), ra, dec)


def test_a_trail_of_8_among_200_sources_is_found_alone() -> None:
    rng = np.random.default_rng(8)
    names = names_of(background(rng, 200), trail(rng, 8, 30))
    assert names[200:].tolist() == [f"{STAMP}_00"] * 8
    assert set(names[:200]) == {None}


def test_recall_and_purity_among_500_sources() -> None:
    found = right = wanted = 0
    whole = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        number = int(rng.integers(5, 21))
        spacing = float(np.exp(rng.uniform(np.log(15), np.log(300))))
        names = names_of(background(rng, 500), trail(rng, number, spacing))
        taken = np.array([name is not None for name in names])
        found += taken.sum()
        right += taken[500:].sum()
        wanted += number
        whole.append(taken[500:].mean() >= 0.8)
    assert right / wanted >= 0.95
    assert right / found >= 0.99
    assert np.mean(whole) >= 0.95


def test_unrelated_sources_make_no_trail() -> None:
    rng = np.random.default_rng(1)
    assert [set(names_of(background(rng, 500))) for _ in range(10)] == [{None}] * 10


@settings(max_examples=15)
@given(st.integers(0, 1000))
def test_the_order_of_the_sources_changes_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    candid, ra, dec = together(background(rng, 150), trail(rng, 6, 40), trail(rng, 12, 60))
    jd = np.where(rng.random(len(ra)) < 0.1, JD + 0.01, JD)
    names = find_tracklets(candid, jd, ra, dec)
    order = rng.permutation(len(ra))
    assert find_tracklets(candid[order], jd[order], ra[order], dec[order]).tolist() == names[order].tolist()


def test_the_ids_count_from_the_longest_trail() -> None:
    rng = np.random.default_rng(3)
    parts = [trail(rng, number, 40) for number in (6, 9, 6)]
    names = names_of(*parts)
    assert names.tolist() == [f"{STAMP}_01"] * 6 + [f"{STAMP}_00"] * 9 + [f"{STAMP}_02"] * 6


def test_exposures_are_linked_apart() -> None:
    rng = np.random.default_rng(4)
    candid, ra, dec = together(trail(rng, 10, 40))
    halves = np.where(np.arange(10) % 2, JD, JD + 45 / 86400)
    assert find_tracklets(candid, halves, ra, dec).tolist() == [
        f"{STAMP}_00" if number % 2 else "TRCK_20210604_093655_00" for number in range(10)
    ]
    assert set(find_tracklets(candid, JD + np.arange(10) / 100, ra, dec)) == {None}


def test_a_bent_trail_is_one_trail() -> None:
    rng = np.random.default_rng(5)
    assert names_of(trail(rng, 15, 120, bend=30)).tolist() == [f"{STAMP}_00"] * 15


def test_four_sources_or_a_source_far_behind_make_no_trail() -> None:
    rng = np.random.default_rng(6)
    ra, dec = np.full(6, 150.0), 20 + np.array([0, 30, 60, 90, 120, 120 + 1300]) / 3600
    assert set(names_of((ra[:4], dec[:4]))) == {None}
    assert [name is not None for name in names_of((ra, dec))] == [True] * 5 + [False]
    assert set(names_of((ra[1:], dec[1:]))) == {None}
    wide = 20 + np.arange(6) * 1.1 * NEIGHBOUR_DEG
    assert set(names_of((ra, wide))) == {None}
    assert set(names_of(background(rng, 4))) == {None}


def test_sources_in_a_heap_are_no_trail() -> None:
    rng = np.random.default_rng(7)
    assert set(names_of((150 + rng.normal(0, 2, 12) / 3600, 20 + rng.normal(0, 2, 12) / 3600))) == {None}


def test_two_trails_that_cross_stay_two() -> None:
    along = np.arange(-6, 7)[np.arange(13) != 6] * 30 / 3600
    flat = np.full(12, 20.0)
    east = (150 + along / np.cos(np.radians(20)), flat)
    north = (np.full(12, 150.0), 20 + along)
    names = names_of(east, north)
    assert sorted(set(names)) == [f"{STAMP}_00", f"{STAMP}_01"]
    assert len(set(names[:12])) == len(set(names[12:])) == 1


def test_a_source_under_two_ids_is_one_point_of_a_trail() -> None:
    dec = 20 + np.array([0, 30, 60, 90, 90, 90]) / 3600
    assert set(names_of((np.full(6, 150.0), dec))) == {None}
    dec = 20 + np.array([0, 30, 60, 90, 120, 120]) / 3600
    assert names_of((np.full(6, 150.0), dec)).tolist() == [f"{STAMP}_00"] * 6


def test_sources_without_a_place_or_time_are_left_out() -> None:
    ra, dec = np.full(7, 150.0), 20 + np.arange(7) * 30 / 3600
    ra[2], dec[5] = np.nan, np.inf
    found = names_of((ra, dec))
    assert [name is not None for name in found] == [True, True, False, True, True, False, True]
    assert len(find_tracklets(np.array([], np.int64), np.array([]), np.array([]), np.array([]))) == 0


def test_neighbours_are_nearer_where_there_are_many() -> None:
    rng = np.random.default_rng(9)
    few, many = (np.degrees(neighbour_radius(unit_vectors(*background(rng, number)))) for number in (100, 5000))
    assert few == pytest.approx(NEIGHBOUR_DEG)
    assert 0.1 < many < 0.2  # 10 neighbours among 106 per square degree lie within 0.17 degrees


def test_a_row_ends_at_a_wide_gap() -> None:
    along = np.array([0.0, 1.0, 2.0, 5.0, 6.0, 7.0, 7.5])
    members = np.array([True] * 6 + [False])
    assert connected(along, members, 1.5).tolist() == [True] * 3 + [False] * 4
    assert connected(along, np.ones(7, bool), 1.5).tolist() == [False] * 3 + [True] * 4


@pytest.mark.parametrize(
    ("jd", "stamp"),
    [(2460381.5, "20240312_000000"), (2458729.6881481, "20190903_043056"), (2451544.99999, "20000101_115959")],
)
def test_the_stamp_is_the_time_of_the_exposure(jd: float, stamp: str) -> None:
    assert exposure_stamp(jd) == stamp


@pytest.mark.parametrize(
    ("values", "candidate"),
    [
        ({}, True),
        ({"ssnamenr": None}, True),
        ({"ssnamenr": "1234"}, False),
        ({"ndethist": 2}, False),
        ({"ndethist": np.nan}, False),
        ({"positive": False}, False),
        ({"distnr": 1.0, "magnr": 18.0, "magpsf": 19.0}, False),  # -1 < 1 and -1 < -0.8
        ({"distnr": 1.0, "magnr": 18.5, "magpsf": 19.0}, True),  # -0.5 is not below -0.8
        ({"distnr": 0.5, "magnr": 18.9, "magpsf": 18.5}, False),  # 0.4 is below 0.404
        ({"distnr": 0.3, "magnr": 20.1, "magpsf": 19.0}, True),  # 1.1 is not below 1
        ({"distnr": 2.0, "magnr": 10.0, "magpsf": 19.0}, True),
        ({"distnr": np.nan, "magnr": 10.0, "magpsf": 19.0}, True),
        ({"distnr": 0.0, "magnr": 10.0, "magpsf": 19.0}, False),
        ({"distnr": -999.0, "magnr": -999.0, "magpsf": 19.0}, True),
    ],
)
def test_new_sources_that_are_no_bad_subtraction_may_be_in_a_trail(values: dict[str, Any], candidate: bool) -> None:
    given = {"ssnamenr": "null", "ndethist": 1, "positive": True, "distnr": 9.0, "magnr": 20.0, "magpsf": 18.0} | values
    columns = {name: np.array([one]) for name, one in given.items()}
    assert is_trail_candidate(**columns).tolist() == [candidate]


@pytest.mark.skipif(not ENRICHED.exists(), reason="the shared sample of enriched alerts is not installed")
def test_the_15_glints_of_a_real_satellite_are_one_tracklet() -> None:
    records = [one["candidate"] for one in read_records(ENRICHED / "tracklet_16.parquet")]
    columns = {name: np.array([one[name] for one in records]) for name in ("candid", "jd", "ra", "dec")}
    names = find_tracklets(*columns.values())
    assert [name for name in names if name] == [f"{STAMP}_00"] * 15
    assert columns["jd"][[name is None for name in names]].tolist() == [2459369.6819676]
