"""Notices are read as their senders mean them, and refused by name if nothing can be done with them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fink_lib.errors import DataError
from fink_lib.science.multimessenger.notices import decode_notice
from tests.unit.science.notices import lvk, skymap, voevent
from tests.unit.science.reference import SHARED_DATA

GCN = SHARED_DATA / "gcn"
MAP = skymap([5, 16], [0.0, 12 / np.pi])


def test_a_burst_is_read() -> None:
    found = decode_notice(voevent())
    assert (found.observatory, found.instrument, found.event, found.trigger_id) == ("Fermi", "GBM", "", "731880005")
    assert found.trigger_time == datetime(2024, 3, 11, 20, 0, 0, 500_000, UTC)
    assert found.trigger_jd == pytest.approx(2460381.3333391203, abs=1e-9)
    assert (found.ra_deg, found.dec_deg, found.error_arcmin) == (150.0, 20.0, 300.0)
    assert found.area_sr == pytest.approx(2 * np.pi * (1 - np.cos(np.radians(5))))
    assert (found.status, len(found.region)) == ("initial", 0)


@pytest.mark.parametrize(
    ("values", "who"),
    [
        ({"ivorn": "ivo://nasa.gsfc.gcn/SWIFT#BAT_GRB_Pos_1099887-1"}, ("SWIFT", "BAT", "")),
        ({"ivorn": "ivo://nasa.gsfc.gcn/INTEGRAL#Refined_2022-09-26T10:38:37_9978-0"}, ("INTEGRAL", "Refined", "")),
        (
            {"ivorn": "ivo://nasa.gsfc.gcn/AMON#ICECUBE_BRONZE_Event2024-03-11T20:00_1", "id_name": "AMON_ID"},
            ("IceCube", "", "Bronze"),
        ),
    ],
)
def test_the_observatory_is_in_the_name(values: dict[str, Any], who: tuple[str, str, str]) -> None:
    found = decode_notice(voevent(**values))
    assert (found.observatory, found.instrument, found.event) == who


@pytest.mark.parametrize(
    ("citation", "status"),
    [
        ("", "initial"),
        ('<EventIVORN cite="followup">ivo://a#b</EventIVORN>', "update"),
        ('<EventIVORN cite="retraction">ivo://a#b</EventIVORN>', "retraction"),
    ],
)
def test_what_a_notice_cites_says_what_it_is(citation: str, status: str) -> None:
    assert decode_notice(voevent(citation=citation)).status == status


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "not_a_notice"),
        (b"hello", "not_a_notice"),
        (b"<VOEvent", "not_a_notice"),
        (b"<other/>", "not_a_notice"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><VOEvent/>', "not_a_notice"),
        (b"{", "not_a_notice"),
        (b'{"superevent_id": 3}', "not_a_notice"),
        (b"{" + b'"a":[' * 100_000, "not_a_notice"),
        (voevent(ivorn="ivo://nowhere"), "bad_notice"),
        (voevent(role="test"), "test"),
        (voevent(not_a_burst="true"), "not_a_burst"),
        (voevent(id_name="Other"), "bad_notice"),
        (voevent(time="yesterday"), "bad_notice"),
        (voevent(time="1899-01-01T00:00:00"), "bad_notice"),
        (voevent(ra="x"), "bad_notice"),
        (voevent(ra="nan"), "no_position"),
        (voevent(dec=-91), "no_position"),
        (voevent(error=0), "no_position"),
        (voevent(error=181), "no_position"),
        (lvk(MAP, superevent_id="MS240311x"), "test"),
        (lvk(), "no_position"),
        (lvk(b"no map"), "bad_skymap"),
        (lvk(MAP, event={"skymap": "%%"}), "bad_skymap"),
        (lvk(MAP, event={"time": None}), "bad_notice"),
        (json.dumps({"superevent_id": "S1", "alert_type": "UPDATE"}).encode(), "bad_notice"),
        (b"<" + bytes(33 * 1024 * 1024), "oversize"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(payload: bytes, reason: str) -> None:
    with pytest.raises(DataError) as caught:
        decode_notice(payload)
    assert caught.value.reason == reason


@given(st.binary(max_size=200), st.integers(0, 900))
def test_a_damaged_notice_never_breaks_the_reader(noise: bytes, place: int) -> None:
    whole = voevent()
    for payload in (noise, whole[:place] + noise + whole[place + len(noise) :], b"{" + noise):
        try:
            decode_notice(payload)
        except DataError as error:
            assert error.reason


def test_a_merger_is_read() -> None:
    found = decode_notice(lvk(MAP))
    assert (found.observatory, found.instrument, found.event) == ("LVK", "H1_L1", "gw")
    assert (found.trigger_id, found.status, found.ivorn) == ("S240311x", "preliminary", "")
    assert found.region.tolist() == [16]
    assert found.area_sr == pytest.approx(np.pi / 12)
    assert 2 * np.pi * (1 - np.cos(np.radians(found.error_arcmin / 60))) == pytest.approx(np.pi / 12)


def test_a_retraction_has_no_place() -> None:
    found = decode_notice(lvk(alert_type="RETRACTION", event={}))
    assert (found.status, found.trigger_id, found.area_sr) == ("retraction", "S240311x", 0.0)
    assert np.isnan(found.ra_deg) and len(found.region) == 0
    assert found.trigger_time == datetime(2024, 3, 11, 20, 1, tzinfo=UTC)


@pytest.mark.skipif(not GCN.exists(), reason="the shared notices are not installed")
def test_a_real_notice_of_fermi_has_the_published_values() -> None:
    row = pq.read_table(GCN / "719313583.parquet").to_pylist()[0]
    found = decode_notice(row["raw_event"].encode())
    assert (found.observatory, found.instrument, found.trigger_id) == ("Fermi", "GBM", row["triggerId"])
    assert found.error_arcmin == row["err_arcmin"] == pytest.approx(60 * row["err_deg"])
    assert (found.ra_deg, found.dec_deg) == pytest.approx((row["ra"], row["dec"]), abs=1e-4)
    assert found.trigger_time == row["triggerTimeUTC"]


@pytest.mark.skipif(not GCN.exists(), reason="the shared notices are not installed")
def test_a_real_alert_of_lvk_has_the_published_values() -> None:
    """The published error is the area of the region, in square arcmin, without its last cell."""
    row = pq.read_table(GCN / "fake_gw_gcn.parquet").to_pylist()[0]
    found = decode_notice(row["raw_event"].encode())
    assert (found.observatory, found.instrument, found.event) == (row["observatory"], row["instrument"], row["event"])
    assert (found.trigger_id, found.trigger_jd) == (row["triggerId"], pytest.approx(row["triggerTimejd"], abs=1e-9))
    assert (found.ra_deg, found.dec_deg) == pytest.approx((row["ra"], row["dec"]))
    assert found.area_sr * np.degrees(60) ** 2 == pytest.approx(row["err_arcmin"], rel=1e-3)
