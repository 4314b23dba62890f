"""Which alerts are in which places: against a plain double loop, and where the sphere is awkward."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st
from mocpy import MOC

from fink_lib.filters import Filter, FilterError, FilterSet, check_predicate
from fink_lib.filters.files import documented_columns
from fink_lib.filters.places import Cone, Places, region_of
from fink_lib.surveys import get_survey

ZTF = get_survey("ztf")

ra_values = st.sampled_from([0.0, 360.0, 359.9999, 0.0001, 180.0]) | st.floats(0, 360)
dec_values = st.sampled_from([-90.0, 90.0, 89.9999, 0.0]) | st.floats(-90, 90)
cones = st.builds(
    Cone, st.text("ab", max_size=3), ra_values, dec_values, st.sampled_from([0.01, 1.0, 1.5, 60.0, 3600.0, 18000.0])
)


def slow_distance_deg(ra1, dec1, ra2, dec2):
    """Vincenty's formula, one pair at a time."""
    l1, b1, l2, b2 = map(math.radians, (ra1, dec1, ra2, dec2))
    across = math.hypot(
        math.cos(b2) * math.sin(l2 - l1),
        math.cos(b1) * math.sin(b2) - math.sin(b1) * math.cos(b2) * math.cos(l2 - l1),
    )
    return math.degrees(
        math.atan2(across, math.sin(b1) * math.sin(b2) + math.cos(b1) * math.cos(b2) * math.cos(l2 - l1))
    )


def near(cone, data):
    """Draw a place near a cone's edge, so that both sides of it are met."""
    angle, share = data.draw(st.floats(0, 2 * math.pi)), data.draw(st.floats(0, 2))
    centre = SkyCoord(cone.ra * u.deg, cone.dec * u.deg)
    place = centre.directional_offset_by(angle * u.rad, share * cone.radius * u.arcsec)
    return float(place.ra.deg), float(place.dec.deg)


@settings(max_examples=150, deadline=None)
@given(st.lists(cones, min_size=1, max_size=6), st.lists(st.tuples(ra_values, dec_values), max_size=10), st.data())
def test_cones_are_cut_as_by_a_double_loop(watched, alerts, data):
    alerts = [*alerts, *(near(cone, data) for cone in watched)]
    ra, dec = (np.array([one[n] for one in alerts]) for n in (0, 1))
    found = Places(tuple(watched)).match((), ra, dec)
    told = dict(zip(zip(found.rows.tolist(), found.places.tolist(), strict=True), found.separation_deg, strict=True))
    assert len(told) == len(found.rows)
    for row in range(len(alerts)):
        for place, cone in enumerate(watched):
            distance = slow_distance_deg(ra[row], dec[row], cone.ra, cone.dec)
            if abs(distance * 3600 - cone.radius) > 1e-6:  # on the very edge both answers are right
                assert ((row, place) in told) == (distance * 3600 < cone.radius)
            if (row, place) in told:
                assert told[row, place] == pytest.approx(distance, abs=1e-9)


def test_the_seam_and_the_poles_are_no_edges():
    places = Places((Cone("seam", 0.0, 0.0, 10.0), Cone("pole", 123.0, 90.0, 10.0)))
    found = places.match((), np.array([359.999, 0.001, 303.0]), np.array([0.0, 0.0, 89.999]))
    assert [(row, place) for row, place in zip(found.rows, found.places, strict=True)] == [(0, 0), (1, 0), (2, 1)]


def test_alerts_without_a_position_are_nowhere():
    places = Places((Cone("all", 0.0, 0.0, 18000.0),), ("a",), ((0, 12 * 4**29),))
    found = places.match(["a", "b"], np.array([np.nan, 1.0]), np.array([1.0, np.inf]))
    assert list(zip(found.rows.tolist(), found.places.tolist(), strict=True)) == [(0, 1)]  # by its name alone


def test_names_are_exact_and_come_after_cones():
    places = Places((Cone("c", 10.0, 10.0, 1.0),), ("x", "y"))
    found = places.match(["y", "xx", "x"], np.array([10.0, 0, 0]), np.array([10.0, 0, 0]))
    assert places.names == ("c", "x", "y")
    assert [places.names[place] for place in found.places] == ["c", "y", "x"]
    assert found.rows.tolist() == [0, 0, 2]


def test_nothing_watched_and_no_alerts():
    assert len(Places().match(["a"], np.array([1.0]), np.array([1.0])).rows) == 0
    whole = Places((Cone("c", 1, 1, 1),), ("a",), ((0, 5),))
    assert len(whole.match([], np.empty(0), np.empty(0)).rows) == 0


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 10**6)), min_size=1, max_size=8),
    st.lists(st.tuples(st.floats(0, 359.9), st.floats(-89, 89)), min_size=1, max_size=20),
)
def test_a_region_is_what_a_moc_library_says(cells, alerts):
    by_order: dict[str, list[int]] = {}
    for order, cell in cells:
        by_order.setdefault(str(order), []).append(cell % (12 * 4**order))
    moc = MOC.new_empty(8)
    for order, numbers in by_order.items():  # a text of cells that overlap is one that the library does not read
        moc = moc.union(MOC.from_json({order: sorted(set(numbers))}))
    ra, dec = (np.array([one[n] for one in alerts]) for n in (0, 1))
    found = Places(region=region_of(by_order, 100)).match((), ra, dec)
    inside = moc.contains_lonlat(ra * u.deg, dec * u.deg)
    assert found.rows.tolist() == np.flatnonzero(inside).tolist()
    assert region_of(moc.to_string(), 1000) == region_of(by_order, 100)


@pytest.mark.parametrize(
    "moc",
    ["", "x", "5", "30/1", "1/48", "1/3-2", "1/-1", "1//2", "1/1/1", "1/1.5", "1/" + "9" * 19, {"5": 3}, {"5": [1.5]},
     {"5": [True]}, {"x": [1]}, {"5": [-1]}, {"5": []}, {"-1": [0]}, "1/1\x00", "1/1;2"],
)  # fmt: skip
def test_what_is_no_map_is_refused(moc):
    with pytest.raises(ValueError):
        region_of(moc, 100)


def test_the_number_of_cells_is_bounded():
    with pytest.raises(ValueError, match="101 cells"):
        region_of({"8": list(range(101))}, 100)
    assert region_of("8/0-100", 1) == ((0, 101 << 42),)


@settings(max_examples=40, deadline=None)
@given(st.lists(cones, min_size=1, max_size=5), st.lists(st.tuples(ra_values, dec_values), max_size=10), st.data())
def test_the_condition_takes_what_the_matching_finds(watched, alerts, data):
    alerts = [*alerts, *(near(cone, data) for cone in watched)]
    ra, dec = (np.array([one[n] for one in alerts]) for n in (0, 1))
    names = [f"ZTF24aaaaaa{'abcdefghijklmnopqrstuvwxyz'[n]}" for n in range(len(alerts))]
    places = Places(tuple(watched), tuple(names[:1]))
    checked = check_predicate(places.predicate(), documented_columns(ZTF))
    rows = pa.table({"objectId": names, "candidate": pa.StructArray.from_arrays([ra, dec], ["ra", "dec"])})
    verdict = FilterSet((Filter("w", "ztf", {"version": "1"}, "", checked),)).evaluate(rows).column("w").to_pylist()
    inside = set(places.match(names, ra, dec).rows.tolist())
    for row in range(len(alerts)):
        edge = any(
            abs(slow_distance_deg(ra[row], dec[row], one.ra, one.dec) * 3600 - one.radius) < 1e-4 for one in watched
        )
        assert edge or verdict[row] == (row in inside), (row, alerts[row])


def test_a_region_and_a_long_list_are_no_condition():
    assert Places(region=((0, 5),)).predicate() == ""
    assert Places().predicate() == ""
    thirty = Places(tuple(Cone(str(n), n, -n, 5.0) for n in range(25)))
    check_predicate(thirty.predicate(), documented_columns(ZTF))
    with pytest.raises(FilterError):
        check_predicate(Places(tuple(Cone(str(n), n, 0, 5.0) for n in range(300))).predicate(), documented_columns(ZTF))


def test_a_batch_of_the_stream_takes_milliseconds():
    """Ten thousand cones, two thousand alerts: the work for each alert does not grow with the cones."""
    random = np.random.default_rng(1)
    places = Places(tuple(Cone(str(n), *random.uniform((0, -30), (360, 90)), 5.0) for n in range(10_000)))
    ra, dec = random.uniform(0, 360, 2000), random.uniform(-30, 90, 2000)
    ra[:10], dec[:10] = [c.ra for c in places.cones[:10]], [c.dec for c in places.cones[:10]]
    found = places.match((), ra, dec)
    assert set(range(10)) <= set(found.rows.tolist())
