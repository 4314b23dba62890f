"""The gate: a good night passes, and each rule is shown able to fail."""

from __future__ import annotations

import json

import pandas as pd
import pyarrow as pa
import pytest

from fink_lib.nightly.validate import SUITES, frames_of_night, judge, suite_folder, validate
from tests.night_rows import NIGHT, replace
from tests.unit.nightly.conftest import good_science, more_raw, raw_of, rejected_rows

# Great Expectations imports modules that Python has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

FOLDER = suite_folder("ztf")

BAD = {
    "raw": {
        "rows": 0, "ids_null": 1, "names_null": 2, "offsets_repeated": 1, "digests_null": 1, "positions_bad": 1,
        "times_outside_night": 4, "times_after_kafka": 1, "magnitudes_bad": 1, "bands_unknown": 1,
        "rarer_band_share": 0.001, "quarantined_share": 0.2,
    },
    "science": {
        "ids_null": 1, "ids_repeated": 1, "cuts_failed": 1, "statuses_missing": 1, "statuses_unknown": 1,
        "versions_missing": 1, "roid_bad": 1, "nalerthist_bad": 1, "scores_bad": 1, "failed_share": 0.06,
        "unavailable_share": 0.5, "class_missing_share": 0.9, "unaccounted": -1,
    },
    "science_sample": {
        "candid": None, "objectId": "ztf18abcdefg", "ra": 360.0, "dec": 90.5, "magpsf": 40.0, "sigmapsf": 0.0,
        "rb": 0.5, "drb": 1.5, "fid": 3, "age": -1.0,
    },
}  # fmt: skip


def rules_of(suite):
    return json.loads((FOLDER / f"{suite}.json").read_text())["expectations"]


@pytest.fixture
def frames(small_night):
    return frames_of_night(small_night, NIGHT, FOLDER)


def test_every_rule_has_a_reason_and_a_severity():
    for suite in SUITES:
        for rule in rules_of(suite):
            assert rule["meta"]["reason"].endswith("."), rule
            assert rule["severity"] in ("critical", "warning", "info")


def test_every_number_and_column_is_judged(frames):
    for suite, frame in frames.items():
        judged = {rule["kwargs"]["column"] for rule in rules_of(suite)}
        assert judged == set(BAD[suite]) and judged <= set(frame.columns), suite


def test_a_good_night_breaks_no_rule_but_what_simbad_lacks(frames, tmp_path):
    docs = tmp_path / "docs"
    failures, rules = judge(frames, FOLDER, docs, NIGHT)
    # Two alerts of the small night have SIMBAD unavailable or failed.
    assert {(f.suite, f.column, f.severity) for f in failures} == {
        ("science", "failed_share", "critical"), ("science", "unavailable_share", "info"),
    }  # fmt: skip
    assert rules == sum(len(rules_of(suite)) for suite in SUITES)
    assert (docs / "index.html").exists()


def test_each_rule_fails_on_a_frame_that_breaks_it(frames):
    good = frames["science_sample"].iloc[:1]
    broken = {suite: pd.DataFrame([BAD[suite]]) for suite in SUITES}
    broken["science_sample"] = pd.concat([good] * 150 + [broken["science_sample"]] * 2, ignore_index=True)
    failures, rules = judge(broken, FOLDER, None, NIGHT)
    failed = {(failure.suite, failure.column) for failure in failures}
    assert failed == {(suite, column) for suite, columns in BAD.items() for column in columns}
    assert len(failures) == rules
    assert [f.severity for f in failures] == sorted(
        (f.severity for f in failures), key=["critical", "warning", "info"].index
    )


def test_the_numbers_see_a_night_broken_on_purpose(lake):
    science = good_science(lake)
    lake.append("raw", raw_of(lake, replace(
        science, candid=[None] + list(range(2, 11)),
        candidate={"ra": [400.0] + [1.0] * 9, "jd": [2460381.4] + [2460381.6] * 9, "magpsf": [None] + [18.0] * 9,
                   "fid": [9] + [1] * 9},
        ingest={"offset": [0, 0, *range(2, 10)], "sha256": [None] + ["ab"] * 9},
    )))  # fmt: skip
    lake.append("science", replace(
        science, candid=[1, 1, *range(3, 11)], candidate={"rb": [0.5] + [0.9] * 9}, roid=[7] + [None] * 9,
        mulens=[1.5] + [None] * 9, nalerthist=[0] + [None] * 9,
        fink_status=[None, [("roid", "maybe")]] + [[("roid", "ok")]] * 8,
    ))  # fmt: skip
    frames = frames_of_night(lake, NIGHT, FOLDER)
    raw = frames["raw"].iloc[0]
    assert [
        raw[name] for name in ("rows", "ids_null", "offsets_repeated", "digests_null", "positions_bad",
                               "times_outside_night", "magnitudes_bad", "bands_unknown")
    ] == [10, 1, 1, 1, 1, 1, 1, 1]  # fmt: skip
    science_numbers = frames["science"].iloc[0]
    assert [
        science_numbers[name] for name in ("ids_repeated", "cuts_failed", "statuses_missing", "statuses_unknown",
                                           "roid_bad", "scores_bad", "nalerthist_bad", "unaccounted")
    ] == [1, 1, 1, 1, 1, 1, 1, 0]  # fmt: skip


def test_a_critical_failure_holds_the_night_and_names_the_reason(small_night, context):
    small_night.append("raw", more_raw(small_night, [50], [0]))
    verdict = validate(context)
    assert not verdict.ok and verdict.state == "held"
    assert "raw.offsets_repeated is 1: A message is one row" in verdict.message


def test_warnings_pass_and_are_told(lake, context):
    science = good_science(lake)
    lake.append("raw", pa.concat_tables([raw_of(lake, science), more_raw(lake, [11], [10])]))
    lake.append("science", replace(
        science, fink_status=[[("simbad", "unavailable")]] * 10, finkclass=[None] * 10
    ))  # fmt: skip
    lake.append("rejected", rejected_rows(lake, [11], [10], ["rb"]))
    verdict = validate(context)
    assert verdict.ok and verdict.state == ""
    assert {failure["column"] for failure in verdict.details["failures"]} == {
        "class_missing_share",
        "unavailable_share",
    }


def test_a_night_of_rejects_only_passes(lake, context):
    lake.append("raw", more_raw(lake, [11, 12], [10, 11]))
    lake.append("rejected", rejected_rows(lake, [11, 12], [10, 11], ["rb", "nbad"]))
    assert validate(context).ok
