"""Alerts meet the triggers that may be theirs, and no others, and the chance of an accident is what it should be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fink_lib.science.multimessenger.coincidence import (
    CLASS_IS_EXTRAGALACTIC,
    NOTICE_COLUMNS,
    PAIRS,
    Trigger,
    chance,
    join,
    newest,
)

TRIGGER_JD = 2460381.0
EMPTY = np.array([], dtype=np.int64)
ALERT: dict[str, Any] = {
    "objectId": "ZTF24aaaaaaa",
    "candid": 1,
    "candidate.ra": 150.0,
    "candidate.dec": 20.0,
    "candidate.fid": 1,
    "candidate.jdstarthist": TRIGGER_JD + 1.0,
    "candidate.rb": 0.9,
    "candidate.jd": TRIGGER_JD + 2.0,
    "candidate.ssdistnr": -999.0,
    "candidate.distpsnr1": -999.0,
    "candidate.sgscore1": -999.0,
    "candidate.neargaia": -999.0,
    "finkclass": "Unknown",
    "mag_rate": -0.5,
    "delta_time": 2.0,
    "from_upper": True,
    "jd_first_real_det": TRIGGER_JD + 1.5,
    "jdstarthist_dt": 0.5,
}
KINDS = {"objectId": pa.string(), "candid": pa.int64(), "candidate.fid": pa.int32(), "finkclass": pa.string()}


def alerts(*changes: dict[str, Any]) -> pa.Table:
    """Give alerts in the middle of the region, 2 d after the trigger; `changes` replace the defaults."""
    rows = [ALERT | {"candid": place + 1} | change for place, change in enumerate(changes)]
    kinds = KINDS | {"from_upper": pa.bool_()}
    return pa.table({name: pa.array([row[name] for row in rows], kinds.get(name, pa.float64())) for name in ALERT})


def burst(**values: Any) -> Trigger:
    """Give a burst with an error of 5 degrees."""
    filled: dict[str, Any] = {
        "observatory": "Fermi",
        "instrument": "GBM",
        "event": "",
        "trigger_id": "1",
        "time_utc": "2024-03-11 12:00:00.000",
        "jd": TRIGGER_JD,
        "ra_deg": 150.0,
        "dec_deg": 20.0,
        "error_arcmin": 300.0,
        "area_sr": 2 * np.pi * (1 - np.cos(np.radians(5))),
        "region": EMPTY,
    }
    return Trigger(**filled | values)


def ids(pairs: pa.Table) -> list[int]:
    found: list[int] = pairs.column("candid").to_pylist()
    return found


def test_a_pair_has_the_published_columns_and_values() -> None:
    pairs = join(alerts({}), [burst()])
    assert pairs.schema.names == [*PAIRS.names, CLASS_IS_EXTRAGALACTIC]
    (row,) = pairs.to_pylist()
    expected = 1 - np.exp(-240 / (4 * np.pi) * 1.5 / 365.25 * 2 * np.pi * (1 - np.cos(np.radians(5))))
    assert row.pop("grb_proba") == pytest.approx(expected, rel=1e-12)
    assert row == {
        "objectId": "ZTF24aaaaaaa",
        "candid": 1,
        "ztf_ra": 150.0,
        "ztf_dec": 20.0,
        "fid": 1,
        "jdstarthist": TRIGGER_JD + 1.0,
        "rb": 0.9,
        "jd": TRIGGER_JD + 2.0,
        "instrument": "GBM",
        "event": "",
        "observatory": "Fermi",
        "triggerId": "1",
        "grb_ra": 150.0,
        "grb_dec": 20.0,
        "grb_loc_error": 300.0,
        "triggerTimeUTC": "2024-03-11 12:00:00.000",
        "fink_class": "Unknown",
        "delta_mag": -1.0,
        "rate": -0.5,
        "from_upper": 1.0,
        "start_vartime": TRIGGER_JD + 1.5,
        "diff_vartime": 0.5,
        CLASS_IS_EXTRAGALACTIC: False,
    }


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, True),
        ({"candidate.jd": TRIGGER_JD + 7.0}, True),
        ({"candidate.jd": TRIGGER_JD + 7.001}, False),
        ({"jd_first_real_det": TRIGGER_JD - 0.001}, False),
        ({"jd_first_real_det": TRIGGER_JD}, False),
        ({"jd_first_real_det": None}, True),
        ({"candidate.jd": TRIGGER_JD - 1, "jd_first_real_det": None}, False),
        ({"candidate.jdstarthist": TRIGGER_JD - 400}, True),
        ({"candidate.dec": 24.999}, True),
        ({"candidate.dec": 25.001}, False),
        ({"candidate.ra": None}, False),
        ({"candidate.ssdistnr": 0.0}, False),
        ({"candidate.ssdistnr": 5.0}, False),
        ({"candidate.ssdistnr": 5.01}, True),
        ({"candidate.ssdistnr": None}, True),
        ({"candidate.distpsnr1": 1.9, "candidate.sgscore1": 0.6}, False),
        ({"candidate.distpsnr1": 2.0, "candidate.sgscore1": 0.6}, True),
        ({"candidate.distpsnr1": 1.9, "candidate.sgscore1": 0.5}, True),
        ({"candidate.distpsnr1": 1.9, "candidate.sgscore1": None}, True),
        ({"candidate.neargaia": 4.9}, False),
        ({"candidate.neargaia": 5.0}, True),
    ],
)
def test_which_alerts_are_paired(change: dict[str, Any], found: bool) -> None:
    assert ids(join(alerts(change), [burst()])) == ([1] if found else [])


def test_what_an_alert_lacks_is_null_in_the_pair() -> None:
    missing = {"mag_rate": None, "delta_time": None, "from_upper": None, "finkclass": None, "candidate.rb": None}
    (row,) = join(alerts(missing), [burst()]).to_pylist()
    names = ("delta_mag", "rate", "from_upper", "fink_class", "rb", CLASS_IS_EXTRAGALACTIC)
    assert {name: row[name] for name in names} == dict.fromkeys(names)


def test_a_class_is_extragalactic_in_any_spelling() -> None:
    pairs = join(alerts(*({"finkclass": name} for name in ("Seyfert_1", "Sy1", "SN candidate", "RRLyr"))), [burst()])
    assert pairs.column(CLASS_IS_EXTRAGALACTIC).to_pylist() == [True, True, False, False]


def test_a_region_of_cells_holds_what_lies_in_it() -> None:
    # base cells 0 to 3 are the northern polar ones, by quarters of longitude
    trigger = burst(observatory="LVK", event="gw", region=np.array([4]), error_arcmin=0.001)
    places = [(45.0, 45.0), (135.0, 45.0), (45.0, -45.0), (10.0, 85.0)]
    found = join(alerts(*({"candidate.ra": ra, "candidate.dec": dec} for ra, dec in places)), [trigger])
    assert ids(found) == [1, 4]


def test_pairs_come_by_trigger_and_then_in_the_order_of_the_alerts() -> None:
    rows = [{"candidate.ra": 150.0 + shift} for shift in (3.0, -3.0, 0.0)]
    pairs = join(alerts(*rows), [burst(trigger_id="b"), burst(trigger_id="a", ra_deg=153.0)])
    told = list(zip(pairs.column("triggerId").to_pylist(), ids(pairs), strict=True))
    assert told == [("b", 1), ("b", 2), ("b", 3), ("a", 1), ("a", 3)]


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_the_coarse_cells_lose_no_pair(seed: int) -> None:
    rng = np.random.default_rng(seed)
    places = zip(rng.uniform(0, 360, 100), np.degrees(np.arcsin(rng.uniform(-1, 1, 100))), strict=True)
    rows = alerts(*({"candidate.ra": ra, "candidate.dec": dec} for ra, dec in places))
    ra, dec, error = rng.uniform(0, 360), rng.uniform(-90, 90), rng.uniform(1, 120)
    trigger = burst(ra_deg=ra, dec_deg=dec, error_arcmin=60 * error)
    inside = trigger.holds(rows.column("candidate.ra").to_numpy(), rows.column("candidate.dec").to_numpy())
    assert ids(join(rows, [trigger])) == (np.flatnonzero(inside) + 1).tolist()


def test_no_alerts_or_no_triggers_make_no_pairs() -> None:
    assert join(alerts(), [burst()]).num_rows == 0
    assert join(alerts({}), []).schema.names == [*PAIRS.names, CLASS_IS_EXTRAGALACTIC]


def test_chance_grows_with_time_area_and_rate() -> None:
    day = np.array([1.0])
    assert chance("Fermi", np.array([0.0]), 1.0).tolist() == [0.0]
    assert chance("Fermi", day, 4 * np.pi)[0] == pytest.approx(1 - np.exp(-240 / 365.25))
    assert chance("SWIFT", day, 1.0)[0] < chance("Fermi", day, 1.0)[0]
    assert chance("Fermi", day, 1e-12)[0] == pytest.approx(240 / (4 * np.pi) / 365.25 * 1e-12, rel=1e-9)
    assert chance("a new one", day, 1.0) == chance("Fermi", day, 1.0)


def notices(*changes: dict[str, Any]) -> pa.Table:
    """Give rows of ``gcn``, one after the other."""
    moment = datetime(2024, 3, 11, 12, tzinfo=UTC)
    row: dict[str, Any] = {
        "observatory": "Fermi",
        "instrument": "GBM",
        "event": "",
        "triggerId": "1",
        "ra": 150.0,
        "dec": 20.0,
        "err_arcmin": 300.0,
        "area_sr": 0.02,
        "triggerTimejd": TRIGGER_JD,
        "triggerTimeUTC": moment + timedelta(microseconds=123_456),
        "gcn_status": "initial",
        "region": None,
    }
    rows = [row | {"sequence": place} | change for place, change in enumerate(changes)]
    kinds = {"region": pa.list_(pa.int64()), "triggerTimeUTC": pa.timestamp("us", "UTC"), "sequence": pa.int64()}
    return pa.table({name: pa.array([one[name] for one in rows], kinds.get(name)) for name in NOTICE_COLUMNS})


def test_the_last_notice_of_a_trigger_counts() -> None:
    found = newest(notices({"err_arcmin": 900.0}, {"triggerId": "2"}, {"err_arcmin": 60.0, "gcn_status": "update"}))
    assert [(one.trigger_id, one.error_arcmin) for one in found] == [("1", 60.0), ("2", 300.0)]
    assert found[0].time_utc == "2024-03-11 12:00:00.123"
    late_first = notices({"err_arcmin": 60.0, "sequence": 9}, {"err_arcmin": 900.0, "sequence": 3})
    assert [one.error_arcmin for one in newest(late_first)] == [60.0]


def test_a_retraction_takes_the_trigger_away_until_there_is_another_notice() -> None:
    taken = {"gcn_status": "retraction", "ra": None, "dec": None, "err_arcmin": None}
    assert newest(notices({}, taken)) == []
    assert len(newest(notices({}, taken, {}))) == 1
    assert len(newest(notices({}, taken | {"triggerId": "2"}))) == 1
