"""Copies are new alerts of new objects; what belongs together stays together."""

from __future__ import annotations

import re

import pytest

from fink_lib.simulator.copies import Copy, copies
from fink_lib.simulator.packets import Packet, as_packets
from fink_lib.simulator.rewrite import record_of
from fink_lib.surveys import get_survey
from tests.ztf_alerts import container, history_entry, record

ZTF = get_survey("ztf")


def packet(candid: int = 7, jd: float = 2_460_000.75) -> Packet:
    made = record(candid, jd=jd, jdstarthist=jd - 30.0, ranr=10.0, decnr=-5.0, magpsf=18.5)
    made["prv_candidates"] = [
        history_entry(jd=jd - 2.0),
        history_entry(jd=jd - 1.0, candid=6, ra=10.0001, dec=-5.0, magpsf=18.0),
    ]
    made["cutoutScience"] = {"fileName": "x", "stampData": b"image"}
    [one] = as_packets([container(made)], ZTF)
    return one


def test_the_first_copy_is_the_alert_itself_byte_for_byte() -> None:
    original = packet()
    assert Copy(0).apply(original) is original


def test_a_copy_has_another_id_another_name_and_the_same_light() -> None:
    original, copy = packet(), Copy(3).apply(packet())
    assert copy.alert_id != original.alert_id
    assert copy.object_id != original.object_id
    assert re.fullmatch(r"ZTF[0-9]{2}[a-z]{7}", copy.object_id)
    before, after = record_of(original.value), record_of(copy.value)
    assert (after["candid"], after["candidate"]["candid"]) == (copy.alert_id, copy.alert_id)
    assert after["objectId"] == copy.object_id
    assert after["candidate"]["magpsf"] == before["candidate"]["magpsf"]
    assert after["cutoutScience"] == before["cutoutScience"]


def test_a_copy_takes_its_history_along_in_time_and_place() -> None:
    copy = Copy(3)
    before, after = record_of(packet().value), record_of(copy.apply(packet()).value)
    shift = after["candidate"]["jd"] - before["candidate"]["jd"]
    assert shift > 0
    assert after["candidate"]["jdstarthist"] - before["candidate"]["jdstarthist"] == pytest.approx(shift, abs=1e-8)
    for old, new in zip(before["prv_candidates"], after["prv_candidates"], strict=True):
        assert new["jd"] - old["jd"] == pytest.approx(shift, abs=1e-8)
    seen = after["prv_candidates"][1]
    assert seen["candid"] == copy.alert_id(6)
    assert seen["ra"] - after["candidate"]["ra"] == pytest.approx(0.0001, abs=1e-9)
    assert after["candidate"]["ra"] != before["candidate"]["ra"]
    assert after["prv_candidates"][0]["candid"] is None


def test_alerts_of_one_object_stay_alerts_of_one_object() -> None:
    names = {Copy(2).apply(packet(candid)).object_id for candid in (1, 2, 3)}
    assert len(names) == 1


def test_copies_do_not_collide() -> None:
    made = list(copies([packet(candid) for candid in range(50)], 20, ""))
    assert len({one.alert_id for one in made}) == len(made) == 1000


def test_copies_decode_and_agree_with_what_is_said_about_them() -> None:
    made = list(copies([packet()], 4, "20240131"))
    assert made == as_packets([one.value for one in made], ZTF)


@pytest.mark.parametrize("number", [0, 1, 100, 5000])
def test_every_copy_lands_in_the_night_asked_for(number: int) -> None:
    late = packet(jd=2_460_001.4995)
    moved = Copy(number, "20240131").apply(late)
    assert moved.night == "20240131"
    assert as_packets([moved.value], ZTF) == [moved]


def test_moving_to_a_night_keeps_name_id_and_time_of_day() -> None:
    original, moved = packet(), Copy(0, "20240131").apply(packet())
    assert (moved.alert_id, moved.object_id) == (original.alert_id, original.object_id)
    assert moved.time % 1.0 == pytest.approx(original.time % 1.0, abs=1e-8)


def test_a_packet_that_cannot_be_read_is_not_copied() -> None:
    broken = Packet(b"broken", None, "", float("inf"), "")
    assert list(copies([broken], 5, "20240131")) == [broken]
