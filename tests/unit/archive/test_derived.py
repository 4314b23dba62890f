"""What the archive makes of an alert: its place, the points of its history, the place of its images."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fink_lib.archive.derived import (
    bad_quality,
    cutout_place,
    upper_limits,
    with_light_status,
    with_pixel,
    with_reference,
)
from tests.night_rows import NIGHT, replace
from tests.unit.archive.nights import archive_night

SCIENCE = archive_night(80, seed=3)
HISTORIES = SCIENCE.column("prv_candidates").to_pylist()


def is_limit(entry: dict) -> bool:
    return entry["magpsf"] is None


def is_bad(entry: dict) -> bool:
    return entry["magpsf"] is not None and not (entry["rb"] is not None and entry["rb"] >= 0.55 and entry["nbad"] == 0)


@pytest.mark.parametrize(("make", "takes"), [(upper_limits, is_limit), (bad_quality, is_bad)])
def test_an_alert_whose_last_entry_is_one_brings_all_of_them(make, takes):
    found = make(SCIENCE)
    wanted = {
        candid: [entry for entry in history if takes(entry)]
        for candid, history in zip(SCIENCE.column("candid").to_pylist(), HISTORIES, strict=True)
        if history and takes(history[-1])
    }
    assert wanted and len(wanted) < 80
    assert found.column("candid").to_pylist() == list(wanted)
    for points, entries in zip(found.column("points").to_pylist(), wanted.values(), strict=True):
        for name, values in points.items():
            assert values == [entry[name] for entry in entries], name


@pytest.mark.parametrize("make", [upper_limits, bad_quality])
def test_points_of_a_slice_are_those_of_its_alerts(make):
    whole = make(SCIENCE).select(["candid", "points"]).to_pylist()
    parts = [
        row
        for start in range(0, 80, 7)
        for row in make(SCIENCE.slice(start, 7)).select(["candid", "points"]).to_pylist()
    ]
    assert parts == whole


@pytest.mark.parametrize("make", [upper_limits, bad_quality])
def test_no_alert_brings_no_point(make):
    assert make(SCIENCE.slice(0, 0)).num_rows == 0
    assert make(replace(SCIENCE, prv_candidates=[None] * 80)).num_rows == 0
    assert make(replace(SCIENCE, prv_candidates=[[]] * 80)).num_rows == 0


def test_a_magnitude_that_is_no_number_is_none():
    entry = {"jd": 2460381.0, "fid": 1, "magpsf": float("nan"), "rb": 0.1, "nbad": 0}
    rows = replace(SCIENCE, prv_candidates=[[entry]] * 80)
    assert upper_limits(rows).num_rows == 80 and bad_quality(rows).num_rows == 0


def test_a_first_detection_that_nobody_can_know_is_the_alert_itself():
    jd = SCIENCE.column("candidate").combine_chunks().field("jd").to_pylist()
    odd = [None, float("nan"), -999.0, 1e9]
    rows = replace(SCIENCE, candidate={"jdstarthist": [*odd, *jd[4:]]})
    assert with_pixel(rows).column("first_jd").to_pylist() == jd


def test_a_light_row_keeps_the_status_of_its_own_columns():
    status = [[("simbad", "no_match"), ("tns", "ok")], [("nalerthist", "ok")], None, []]
    rows = with_light_status(replace(SCIENCE.slice(0, 4), fink_status=status))
    assert rows.column("light_status").to_pylist() == [
        [("simbad", "no_match"), ("nalerthist", None)],
        [("simbad", None), ("nalerthist", "ok")],
        [("simbad", None), ("nalerthist", None)],
        [("simbad", None), ("nalerthist", None)],
    ]


@given(st.text("abc-0123456789", max_size=12), st.integers(0, 2**62))
def test_a_reference_names_the_place_of_the_images(batch, candid):
    rows = pa.table({"night": [NIGHT], "candid": pa.array([candid]), "ingest": pa.array([{"batch": batch}])})
    (reference,) = with_reference(rows).column("reference").to_pylist()
    place = cutout_place(reference)
    assert (place.night, place.batch, place.candid) == (NIGHT, batch, candid)


def test_pixels_are_those_of_the_ring_scheme():
    from astropy import units as u
    from astropy.coordinates import Latitude, Longitude
    from cdshealpix.ring import lonlat_to_healpix

    candidate = SCIENCE.column("candidate").combine_chunks()
    ra, dec = (np.array(candidate.field(name).to_pylist()) for name in ("ra", "dec"))
    wanted = lonlat_to_healpix(Longitude(ra, u.deg), Latitude(dec, u.deg), 128)
    assert with_pixel(SCIENCE).column("pixel").to_pylist() == wanted.astype(int).tolist()
