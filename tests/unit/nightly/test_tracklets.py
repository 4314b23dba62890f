"""Tracklets are merged into the night, alerts in them are classified anew, and what they were stays on record."""

from __future__ import annotations

import pyarrow as pa
import pytest

from fink_lib.errors import TransientError
from fink_lib.lake import Lake
from fink_lib.nightly import compact as stage
from fink_lib.nightly import tracklets as link
from fink_lib.nightly.compact import compact
from fink_lib.nightly.stage import NightContext
from tests.night_rows import NIGHT, replace, science_rows

JD = 2460381.75
STAMP = "TRCK_20240312_060000_00"
TRAIL = range(1, 9)
OTHERS = range(9, 21)


def alerts(lake: Lake, ids: range, **columns: object) -> pa.Table:
    """Give alerts of one exposure: 1 to 8 stand in a row, the others far apart; SIMBAD knows nothing there."""
    count = len(ids)
    rows = science_rows(lake, count, seed=7, first_id=ids[0])
    candidate = {
        "jd": [JD] * count,
        "jdstarthist": [JD] * count,
        "ndethist": [1] * count,
        "ssnamenr": ["null"] * count,
        "isdiffpos": ["t"] * count,
        "distnr": [9.0] * count,
        "magnr": [20.0] * count,
        "magpsf": [18.0] * count,
        "drb": [0.9] * count,
        "classtar": [0.9] * count,
        "ra": [150.0 if one in TRAIL else (41.3 * one) % 360 for one in ids],
        "dec": [20 + one / 100 if one in TRAIL else (17.9 * one) % 80 for one in ids],
    }
    empty = ("mulens", "rf_snia_vs_nonia", "rf_kn_vs_nonkn", "snn_snia_vs_nonia", "snn_sn_vs_all", "cdsxmatch")
    kept = {
        "roid": [2] * count,
        "tracklet": [None] * count,
        "finkclass": ["Solar System candidate"] * count,
        "finkclass2": ["Solar System candidate"] * count,
        "finkclass_version": ["fink-1"] * count,
        "fink_status": [[("roid", "ok"), ("simbad", "no_match")]] * count,
        "fink_versions": [[("simbad", "a1")]] * count,
    }
    fixed = {"candidate": candidate} | {name: [None] * count for name in empty} | kept | columns
    return replace(rows, **fixed)


@pytest.fixture
def night(lake: Lake) -> Lake:
    """Give a night with one trail, its alerts in two files."""
    lake.append("science", alerts(lake, range(1, 6)))
    lake.append("science", alerts(lake, range(6, 21)))
    return lake


def by_id(lake: Lake, *columns: str) -> dict[int, object]:
    rows = lake.read("science", [NIGHT], ["candid", *columns]).to_pylist()
    return {row["candid"]: row[columns[0]] if len(columns) == 1 else tuple(row[c] for c in columns) for row in rows}


def versions(lake: Lake) -> dict[str, int]:
    return {table: lake.table(table).version() for table in ("science", "reclassified")}


def everything(lake: Lake) -> list[str]:
    return [repr(row) for row in lake.read("science", [NIGHT]).sort_by("candid").to_pylist()]


def test_alerts_in_a_row_get_the_name_of_their_tracklet(night: Lake, context: NightContext) -> None:
    verdict = compact(context)
    assert by_id(night, "tracklet") == dict.fromkeys(TRAIL, STAMP) | dict.fromkeys(OTHERS)
    told = verdict.details["tracklets"]
    assert (told["tracklets"], told["alerts"], told["updated"]) == (1, 8, 8)
    assert "1 tracklets of 8 alerts, 8 rows updated" in verdict.message


def test_they_are_classified_anew_and_the_change_is_on_record(night: Lake, context: NightContext) -> None:
    before = by_id(night, "finkclass", "finkclass2", "finkclass_version")
    verdict = compact(context)
    after = by_id(night, "finkclass", "finkclass2", "finkclass_version")
    assert {one: after[one] for one in TRAIL} == dict.fromkeys(TRAIL, ("Tracklet", "Tracklet", "fink-1"))
    assert {one: after[one] for one in OTHERS} == {one: before[one] for one in OTHERS}
    assert verdict.details["tracklets"]["reclassified"] == {"Solar System candidate -> Tracklet": 8}
    record = night.read("reclassified", [NIGHT]).sort_by([("alert_id", "ascending"), ("column", "ascending")])
    assert record.num_rows == 16
    assert record.to_pylist()[0] == {
        "alert_id": 1,
        "tracklet": STAMP,
        "column": "finkclass",
        "before": "Solar System candidate",
        "after": "Tracklet",
        "version": "fink-1",
        "night": NIGHT,
    }


def test_status_and_version_of_the_linking_travel_with_the_alert(night: Lake, context: NightContext) -> None:
    compact(context)
    found = by_id(night, "fink_status", "fink_versions")
    assert found[1] == (
        [("roid", "ok"), ("simbad", "no_match"), ("tracklet", "ok")],
        [("simbad", "a1"), ("tracklet", "1")],
    )
    assert found[9] == ([("roid", "ok"), ("simbad", "no_match")], [("simbad", "a1")])


def test_nothing_else_changes(night: Lake, context: NightContext) -> None:
    changed = {"tracklet", "finkclass", "finkclass2", "fink_status", "fink_versions"}

    def rest() -> list[str]:
        rows = night.read("science", [NIGHT]).sort_by("candid").drop_columns(list(changed))
        return [repr(row) for row in rows.to_pylist()]

    before = rest()
    compact(context)
    assert rest() == before


def test_doing_it_again_changes_nothing(night: Lake, context: NightContext) -> None:
    compact(context)
    before, rows = versions(night), everything(night)
    verdict = compact(context)
    assert verdict.details["tracklets"] | {"updated": 0} == verdict.details["tracklets"]
    assert versions(night) == before
    assert everything(night) == rows


def test_the_record_is_made_good_if_the_process_died_before_it(
    night: Lake, context: NightContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_: object) -> None:
        raise OSError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(link, "_record", dies)
        with pytest.raises(OSError, match="killed"):
            compact(context)
    assert night.read("reclassified", [NIGHT]).num_rows == 0
    verdict = compact(context)
    assert verdict.details["tracklets"]["updated"] == 0
    assert night.read("reclassified", [NIGHT]).num_rows == 16


def test_a_late_alert_of_the_trail_is_merged_in(night: Lake, context: NightContext) -> None:
    compact(context)
    late = alerts(night, range(21, 22))
    night.append("science", replace(late, candidate={"ra": [150.0], "dec": [20.09]}))
    verdict = compact(context)
    assert verdict.details["tracklets"]["updated"] == 1
    assert by_id(night, "tracklet")[21] == STAMP
    assert night.read("reclassified", [NIGHT]).num_rows == 18


def test_a_tracklet_that_is_none_any_more_is_taken_back(
    night: Lake, context: NightContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = everything(night)
    compact(context)
    monkeypatch.setattr(link, "linked_alerts", lambda *_: {})
    assert compact(context).details["tracklets"]["updated"] == 8
    assert everything(night) == rows
    assert night.read("reclassified", [NIGHT]).num_rows == 0


def test_another_version_of_the_linking_is_written_down(
    night: Lake, context: NightContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    compact(context)
    monkeypatch.setattr(link, "VERSION", "2")
    assert compact(context).details["tracklets"]["updated"] == 8
    assert dict(by_id(night, "fink_versions")[1])["tracklet"] == "2"  # type: ignore[call-overload]


def test_a_class_that_stays_is_no_change(lake: Lake, context: NightContext) -> None:
    known = [[("simbad", "unavailable")]] * 8
    none = [None] * 8
    lake.append("science", alerts(lake, range(1, 9), fink_status=known, finkclass=none, finkclass2=none))
    told = compact(context).details["tracklets"]
    assert told == {"tracklets": 1, "alerts": 8, "updated": 8, "reclassified": {}}
    assert by_id(lake, "finkclass") == dict.fromkeys(TRAIL)
    assert lake.read("reclassified", [NIGHT]).num_rows == 0


@pytest.mark.parametrize("field", [{"ssnamenr": ["1234"] * 8}, {"ndethist": [2] * 8}, {"isdiffpos": ["f"] * 8}])
def test_known_or_old_sources_are_not_linked(lake: Lake, context: NightContext, field: dict[str, object]) -> None:
    lake.append("science", replace(alerts(lake, range(1, 9)), candidate=field))
    assert compact(context).details["tracklets"] == {
        "tracklets": 0,
        "alerts": 0,
        "updated": 0,
        "reclassified": {},
    }


def test_other_nights_are_left_alone(night: Lake, context: NightContext) -> None:
    night.append("science", replace(alerts(night, range(1, 9)), night=["20240313"] * 8))
    compact(context)
    assert night.read("science", ["20240313"]).column("tracklet").null_count == 8
    assert night.nights("reclassified") == [NIGHT]


def test_a_night_that_never_rests_is_tried_again_later(
    night: Lake, context: NightContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: object) -> int:
        raise TransientError("other writers kept changing science")

    monkeypatch.setattr(link, "patch_rows", busy)
    with pytest.raises(TransientError):
        compact(context)
    assert stage.files_of_night(night, "science", NIGHT)
