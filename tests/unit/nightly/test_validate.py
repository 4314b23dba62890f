"""The gates: a good night passes, each rule is shown able to fail, and a person's release is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from fink_lib.nightly import validate as gates
from fink_lib.nightly.decisions import decide, decisions, holding
from fink_lib.nightly.frames import ARCHIVE_SUITES, NIGHT_SUITES, frames_of_archive, frames_of_night, suite_folder
from fink_lib.nightly.judging import SEVERITIES, Finding, judge
from fink_lib.nightly.nights import night_state, set_state
from fink_lib.nightly.quality import failed_rules, past_nights
from fink_lib.nightly.runner import run_stage
from fink_lib.nightly.validate import archive_verdict, validate
from tests.night_rows import NIGHT, replace
from tests.unit.nightly.conftest import NOW, good_science, more_raw, raw_of, rejected_rows, sent_rows

# Great Expectations imports modules that Python has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

FOLDER = suite_folder("ztf")
SUITES = (*NIGHT_SUITES, *ARCHIVE_SUITES)
SAMPLE = "science_sample"

BAD = {
    SAMPLE: {
        "candid": None, "objectId": "ztf18abcdefg", "ra": 360.0, "dec": 90.5, "magpsf": 40.0, "sigmapsf": 0.0,
        "rb": 0.5, "drb": 1.5, "fid": 3, "age": -1.0,
    },
}  # fmt: skip


def rules_of(suite):
    return json.loads((FOLDER / f"{suite}.json").read_text())["expectations"]


def outside(rule):
    """Give a number that breaks a rule about a range."""
    least, most = rule["kwargs"].get("min_value"), rule["kwargs"].get("max_value")
    return most + max(0.01, abs(most)) if most is not None else least - max(0.01, abs(least))


ALL = [(suite, rule["kwargs"]["column"], number) for suite in SUITES for number, rule in enumerate(rules_of(suite))]


@pytest.fixture(scope="module")
def broken():
    """Judge each rule of each suite on a frame that breaks it: (suite, column, severity) of those that failed.

    A frame has a row for each rule, in which its column breaks it, and every other column is null, which passes.
    """
    frames = {}
    for suite in SUITES:
        rules = rules_of(suite)
        if suite == SAMPLE:
            good = {"candid": 1, "objectId": "ZTF18abcdefg", "ra": 1.0, "dec": 1.0, "magpsf": 18.0, "sigmapsf": 0.1,
                    "rb": 0.9, "drb": 0.9, "fid": 1, "age": 1.0}  # fmt: skip
            frames[suite] = pd.DataFrame([good] * 150 + [BAD[suite]] * 2)
        else:
            columns = list(dict.fromkeys(rule["kwargs"]["column"] for rule in rules))
            frames[suite] = pd.DataFrame(
                [{rule["kwargs"]["column"]: outside(rule)} for rule in rules], columns=columns, dtype=float
            )
    found = judge(frames, FOLDER, None, "broken")
    assert len(found) == len(ALL)
    return {(one.suite, one.column, one.severity) for one in found if one.outcome == "failed"}


@pytest.mark.parametrize(("suite", "column", "number"), ALL)
def test_every_rule_can_fail(broken, suite, column, number):
    assert (suite, column, rules_of(suite)[number]["severity"]) in broken


@pytest.mark.parametrize("suite", SUITES)
def test_every_rule_has_a_reason_and_a_severity(suite):
    for rule in rules_of(suite):
        assert rule["meta"]["reason"].endswith("."), rule
        assert rule["severity"] in SEVERITIES
        assert set(rule["meta"]) <= {"reason", "needs"}


@pytest.fixture
def frames(small_night):
    return frames_of_night(small_night, NIGHT, FOLDER)[0]


def verified(**changed):
    return {"table_name": "ztf", "current": True, "rows": 10, "found": 10, "differing": 0, "lake_digest": "a",
            "archive_digest": "a"} | changed  # fmt: skip


def summary_row(**changed):
    """The summary of the small night, as far as the suite looks at it."""
    basic = {"raw": 13, "sci": 10, "rejected": 2, "duplicates": 1, "quarantined": 1, "n_g": 5, "n_r": 5,
             "exposures": 1, "fields": 1, "unavailable_simbad": 1} | changed.pop("basic", {})  # fmt: skip
    row = {
        "basic": basic,
        "class": {"Unknown": 8, "unavailable": 2, "simbad_tot": 3},
        "filters": {"unknowns": 3},
        "versions": {"broker": "0.1.0", "science": "1"},
        "latency": {"sent_s.p50": 1.0, "sent_s.p95": 2.0, "sent_s.p99": 3.0},
        "ledger": {"stream2raw.messages": 14, "stream2raw.raw": 13, "stream2raw.quarantined": 1},
        "fields": [{"field": 400, "band": "g", "alerts": 10}],
        "coverage": [{"pixel": 1, "band": "g", "alerts": 4}, {"pixel": 2, "band": "r", "alerts": 6}],
        "night": NIGHT,
    }
    return {name: list(value.items()) if isinstance(value, dict) else value for name, value in (row | changed).items()}


def cells_of(row):
    return {f"{family}:{name}": number for family in ("basic", "class") for name, number in row[family]}


def archive_numbers(lake, row, tables=None, cells=None):
    """Give what the suites judge of an archive with this summary; None writes no summary."""
    if row is not None:
        lake.replace_night("night_summary", NIGHT, pa.Table.from_pylist([row], schema=lake.schema("night_summary")))
    statistics = cells if cells is not None else cells_of(row)
    return frames_of_archive(lake, NIGHT, FOLDER, [verified()] if tables is None else tables, statistics)


def wrong(frames):
    """Name the rules that the numbers break, with what is told about them."""
    found = {}
    for suite, frame in frames.items():
        for rule in rules_of(suite):
            column, least, most = (rule["kwargs"].get(name) for name in ("column", "min_value", "max_value"))
            value = frame[column].iloc[0]
            if (least is not None and value < least) or (most is not None and value > most):
                found[f"{suite}.{column}"] = frame.get(f"{column}_told", pd.Series([None])).iloc[0]
    return found


@pytest.mark.parametrize("suite", NIGHT_SUITES)
def test_every_rule_of_a_night_judges_a_number_that_the_sql_gives(frames, suite):
    assert {rule["kwargs"]["column"] for rule in rules_of(suite)} <= set(frames[suite].columns)


def test_a_good_night_breaks_no_rule_but_what_simbad_lacks(frames, tmp_path):
    docs = tmp_path / "docs"
    found = judge(frames, FOLDER, docs, NIGHT)
    # Two alerts of the small night have SIMBAD unavailable or failed.
    assert {(one.suite, one.column, one.severity) for one in found if one.outcome == "failed"} == {
        ("science", "failed_share", "critical"), ("science", "unavailable_share", "info"),
    }  # fmt: skip
    assert len(found) == sum(len(rules_of(suite)) for suite in NIGHT_SUITES)
    assert (docs / "index.html").exists()


def test_rules_that_compare_say_that_they_do_not_apply_to_a_small_night_without_a_past(frames):
    found = judge({"drift": frames["drift"]}, FOLDER, None, NIGHT)
    assert {one.outcome for one in found} == {"not applied"}
    assert all("archived nights" in one.needs for one in found)


def test_the_numbers_see_a_night_broken_on_purpose(lake):
    science = good_science(lake)
    lake.append("raw", raw_of(lake, replace(
        science, candid=[None] + list(range(2, 11)),
        candidate={"ra": [400.0] + [1.0] * 9, "jd": [2460381.4] + [2460381.6] * 9, "magpsf": [None] + [18.0] * 9,
                   "fid": [9] + [1] * 9, "diffmaglim": [5.0] + [20.5] * 9, "pid": [None] * 2 + [1] * 8},
        ingest={"offset": [0, 0, *range(2, 10)], "sha256": [None] + ["ab"] * 9},
    )))  # fmt: skip
    lake.append("science", replace(
        science, candid=[1, 1, *range(3, 11)], candidate={"rb": [0.5] + [0.9] * 9}, roid=[7] + [None] * 9,
        mulens=[1.5] + [None] * 9, nalerthist=[0] + [None] * 9,
        fink_status=[None, [("roid", "maybe")]] + [[("roid", "ok")]] * 8,
        fink_versions=[[("roid", "1")]] * 9 + [[("roid", "2")]],
    ))  # fmt: skip
    lake.append("sent", replace(sent_rows(lake, [1, 1, 77, 3]), offset=[0, 1, 2, 2], topic=["a", "b", "b", "b"],
                                filter_version=["1", "1", "2", "2"]))  # fmt: skip
    frames, _ = frames_of_night(lake, NIGHT, FOLDER, {"roid": "1"})
    raw = frames["raw"].iloc[0]
    assert {
        name: raw[name] for name in ("rows", "ids_null", "offsets_repeated", "digests_null", "positions_bad",
                                     "times_outside_night", "magnitudes_bad", "bands_unknown", "depths_bad",
                                     "keys_null")
    } == {"rows": 10, "ids_null": 1, "offsets_repeated": 1, "digests_null": 1, "positions_bad": 1,
          "times_outside_night": 1, "magnitudes_bad": 1, "bands_unknown": 1, "depths_bad": 1,
          "keys_null": 3}  # fmt: skip
    assert raw["keys_null_told"] == "1 of magpsf, 2 of pid"
    numbers = frames["science"].iloc[0]
    assert [
        numbers[name] for name in ("ids_repeated", "cuts_failed", "statuses_missing", "statuses_unknown", "roid_bad",
                                   "scores_bad", "nalerthist_bad", "unaccounted", "versions_mixed", "versions_strange")
    ] == [1, 1, 1, 1, 1, 1, 1, 0, 1, 1]  # fmt: skip
    assert numbers["versions_strange_told"] == "roid 2, installed is 1"
    sent = frames["distribution"].iloc[0]
    assert [
        sent[name] for name in ("keys_null", "ids_unknown", "sent_repeated", "places_repeated", "topics_mixed",
                                "versions_mixed")
    ] == [0, 1, 1, 1, 1, 1]  # fmt: skip


def test_a_column_that_changed_its_type_is_told(lake, frames, monkeypatch):
    from fink_lib.nightly import frames as module

    declared = pa.schema([pa.field("night", pa.string()), pa.field("alert_id", pa.string())])
    monkeypatch.setattr(module, "JUDGED_COLUMNS", ("sent",))
    monkeypatch.setattr(type(lake), "schema", lambda self, table: declared)
    wrong = {row["column_name"]: (row["declared"], row["found"]) for row in module.columns_table(lake).to_pylist()}
    assert wrong["alert_id"] == ("string", "long") and wrong["filter"] == ("nothing", "string")
    assert wrong["night"] == ("string", "string")


class TestTheGate:
    @pytest.fixture(autouse=True)
    def two_suites(self, monkeypatch):
        """Judge by two suites, which is enough to hold a night and takes a quarter of the time."""
        monkeypatch.setattr(gates, "NIGHT_SUITES", ("raw", "distribution"))
        monkeypatch.setattr(gates, "installed_versions", lambda context: {})

    @pytest.fixture
    def spoiled(self, small_night, context):
        """A closed night with one offset twice."""
        small_night.append("raw", more_raw(small_night, [50], [0]))
        set_state(small_night, NIGHT, "closed", "close_night", "all is in", NOW)
        return small_night

    def run(self, settings, stage="validate"):
        return run_stage(settings, "ztf", NIGHT, stage, now=NOW)

    def decide(self, settings, decision="release", by="ada", reason="the broker sent it twice, I looked"):
        return decide(settings, "ztf", NIGHT, decision, by, reason, NOW)

    def test_a_critical_failure_holds_the_night_and_names_the_reason(self, spoiled, context):
        verdict = validate(context)
        assert not verdict.ok and verdict.state == "held" and verdict.details["held"]
        assert "raw.offsets_repeated is 1: A message is one row" in verdict.message
        assert verdict.details["not_applied"]
        assert failed_rules(spoiled, NIGHT) == ["raw.offsets_repeated"]

    def test_a_released_night_goes_on_and_is_not_held_again_by_the_same_rules(self, spoiled, settings):
        assert not self.run(settings)["ok"]
        assert not self.run(settings, "select")["ok"]
        assert run_stage(settings, "ztf", NIGHT, "holding")["held"]
        told = self.decide(settings)
        assert told["state"] == "closed" and told["rules"] == ["raw.offsets_repeated"]
        state = night_state(spoiled, NIGHT)
        assert (state.state, state.stage, state.by) == ("closed", "validate", "ada")
        assert "the broker sent it twice" in state.reason
        (one,) = decisions(spoiled, NIGHT)
        assert (one.decision, one.by, one.reason) == ("release", "ada", "the broker sent it twice, I looked")
        again = self.run(settings)
        assert again["ok"] and again["released"] == ["raw.offsets_repeated"]
        assert "were released by a person" in again["message"]
        assert night_state(spoiled, NIGHT).state == "closed"

    def test_another_failure_holds_a_released_night_again(self, spoiled, settings):
        self.run(settings)
        self.decide(settings)
        spoiled.append("sent", sent_rows(spoiled, [1]))
        verdict = self.run(settings)
        assert not verdict["ok"] and night_state(spoiled, NIGHT).state == "held"
        assert "distribution.sent_repeated" in verdict["message"]
        assert "raw.offsets_repeated" not in verdict["message"]

    def test_clearing_a_task_keeps_the_hold(self, spoiled, settings):
        self.run(settings)
        for stage in ("compact", "validate", "compact"):
            self.run(settings, stage)
            assert not self.run(settings, "select")["ok"], stage
            assert run_stage(settings, "ztf", NIGHT, "holding")["held"]

    def test_late_alerts_do_not_end_the_hold(self, spoiled, settings):
        self.run(settings)
        set_state(spoiled, NIGHT, "closing", "close_night", "3 messages came late", NOW)
        set_state(spoiled, NIGHT, "closed", "close_night", "all is in", NOW)
        refused = self.run(settings, "select")
        assert not refused["ok"] and "held at validate" in refused["message"]

    def test_a_night_that_was_repaired_after_late_alerts_goes_on(self, small_night, settings):
        set_state(small_night, NIGHT, "held", "validate", "odd", NOW)
        set_state(small_night, NIGHT, "closed", "close_night", "all is in", NOW)
        assert self.run(settings)["ok"]
        assert not run_stage(settings, "ztf", NIGHT, "holding")["held"]

    def test_an_abandoned_night_stays_so_until_somebody_has_it_judged_again(self, spoiled, settings):
        self.run(settings)
        self.decide(settings, "abandon", reason="clouds")
        assert night_state(spoiled, NIGHT).state == "abandoned"
        assert "abandoned by ada" in self.run(settings)["message"]
        told = run_stage(settings, "ztf", NIGHT, "holding")
        assert not told["held"] and told["state"] == "abandoned"
        self.decide(settings, "replay", by="bob", reason="no, they were stars")
        assert night_state(spoiled, NIGHT).state == "held"
        assert not self.run(settings)["ok"]

    def test_a_replay_takes_a_release_back(self, spoiled, settings):
        self.run(settings)
        self.decide(settings)
        assert self.run(settings)["ok"]
        spoiled.append("sent", sent_rows(spoiled, [1]))
        self.run(settings)
        self.decide(settings, "replay", reason="a new broker is installed")
        assert "raw.offsets_repeated" in [one["suite"] + "." + one["column"] for one in self.run(settings)["failures"]]
        assert self.run(settings)["released"] == []

    @pytest.mark.parametrize(
        ("state", "decision", "by", "reason", "told"),
        [
            ("held", "release", "", "fine", "takes a name"),
            ("held", "release", "ada", "  ", "takes a name"),
            ("held", "destroy", "ada", "fine", "decide one of"),
            ("closed", "release", "ada", "fine", "nothing to release"),
            ("archived", "abandon", "ada", "fine", "nothing to abandon"),
            ("live", "replay", "ada", "fine", "nothing to replay"),
            ("failed", "release", "ada", "fine", "nothing to release"),
        ],
    )
    def test_what_nobody_can_decide_is_refused(self, lake, settings, state, decision, by, reason, told):
        from fink_lib.errors import ConfigError

        set_state(lake, NIGHT, state, "validate", "odd", NOW)
        with pytest.raises(ConfigError, match=told):
            self.decide(settings, decision, by, reason)
        assert decisions(lake, NIGHT) == []

    def test_a_failed_night_can_be_abandoned(self, lake, settings):
        set_state(lake, NIGHT, "failed", "reconcile", "lost", NOW)
        assert self.decide(settings, "abandon")["state"] == "abandoned"
        assert self.decide(settings, "replay")["state"] == "failed"

    def test_looking_changes_nothing(self, spoiled, context):
        before = spoiled.read("nights", [NIGHT])
        assert holding(context).ok
        assert spoiled.read("nights", [NIGHT]).equals(before)


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
    assert "do not apply to a night like this" in verdict.message
    first = (context.report_dir / "data_docs" / "index.html").read_text()
    assert "science.class_missing_share" in first and verdict.message[1:] in first


def test_a_night_of_rejects_only_passes(lake, context):
    lake.append("raw", more_raw(lake, [11, 12], [10, 11]))
    lake.append("rejected", rejected_rows(lake, [11, 12], [10, 11], ["rb", "nbad"]))
    assert validate(context).ok


def test_what_was_found_is_in_the_lake_once(small_night, context):
    for _ in range(2):
        validate(context)
    rows = small_night.read("quality", [NIGHT]).to_pylist()
    numbers = {row["name"]: row["value"] for row in rows if row["suite"] == "numbers"}
    assert (numbers["alerts"], numbers["science"], numbers["class.QSO"]) == (
        12,
        10,
        0.1,
    )  # an alert that came twice counts once
    judged = [(row["suite"], row["name"], row["severity"]) for row in rows if row["suite"] != "numbers"]
    assert len(judged) == len(set(judged)) == sum(len(rules_of(suite)) for suite in NIGHT_SUITES)


def test_only_archived_nights_are_compared_with(lake):
    for day, state in enumerate(("archived", "held", "abandoned", "archived", "failed"), 1):
        set_state(lake, f"2024010{day}", state, "publish", "", NOW)
    assert past_nights(lake, "20240105") == ["20240101", "20240104"]
    assert past_nights(lake, "20240104", most=30) == ["20240101"]
    assert past_nights(lake, "20240105", most=1) == ["20240104"]


class TestTheArchiveGate:
    def test_a_good_archive_passes(self, small_night):
        found = judge(archive_numbers(small_night, summary_row()), FOLDER, None, NIGHT)
        assert [one.sentence for one in found if one.outcome == "failed"] == []

    def test_every_rule_judges_a_number_that_the_sql_gives(self, small_night):
        row = summary_row()
        small_night.append("night_summary", pa.Table.from_pylist([row], schema=small_night.schema("night_summary")))
        frames = frames_of_archive(small_night, NIGHT, FOLDER, [verified()], cells_of(row))
        for suite in ARCHIVE_SUITES:
            assert {rule["kwargs"]["column"] for rule in rules_of(suite)} <= set(frames[suite].columns)

    @pytest.mark.parametrize(
        ("table", "rules"),
        [
            ({"current": False, "rows": None, "found": None}, {"archive.tables_unverified": "ztf"}),
            ({"current": False, "found": 9, "archive_digest": "b"}, {
                "archive.tables_unverified": "ztf", "archive.tables_short": "ztf: 9 of 10 rows",
                "archive.digests_differ": "ztf"}),
            ({"found": 11}, {"archive.tables_long": "ztf: 11 rows for 10"}),
            ({"differing": 2}, {"archive.rows_differing": None}),
        ],
    )  # fmt: skip
    def test_a_table_that_is_not_the_lakes_fails(self, small_night, table, rules):
        assert wrong(archive_numbers(small_night, summary_row(), [verified(), verified(**table)])) == rules

    def test_an_archive_without_tables_fails(self, small_night):
        assert "archive.tables" in wrong(archive_numbers(small_night, summary_row(), []))

    def test_a_cell_that_says_something_else_fails(self, small_night):
        row = summary_row()
        cells = cells_of(row) | {"class:Unknown": 7}
        del cells["basic:raw"]
        assert wrong(archive_numbers(small_night, row, cells=cells)) == {
            "archive.statistics_differ": "basic:raw is missing and not 13, class:Unknown is 7 and not 8"
        }

    @pytest.mark.parametrize(
        ("changed", "rules"),
        [
            ({"basic": {"raw": 14}}, {"raw_off", "equation_off"}),
            ({"basic": {"quarantined": 0}}, {"quarantined_off"}),
            ({"basic": {"n_r": 4}}, {"bands_off"}),
            ({"basic": {"exposures": 0}}, {"exposures_bad"}),
            ({"basic": {"unavailable_simbad": 11}}, {"unavailable_bad"}),
            ({"basic": {"rejected": 1, "duplicates": 2}}, {"rejected_off"}),
            ({"class": {"Unknown": 9, "unavailable": 2}}, {"classes_off"}),
            ({"filters": {"unknowns": 4}}, {"filters_off"}),
            ({"versions": {"broker": "1"}}, {"versions_missing"}),
            ({"latency": {"sent_s.p50": 3.0, "sent_s.p95": 2.0}}, {"latency_disordered"}),
            ({"coverage": []}, {"coverage_off"}),
            ({"fields": []}, {"fields_off"}),
            ({"ledger": {"stream2raw.messages": 15, "stream2raw.raw": 13, "stream2raw.quarantined": 1}},
             {"ledger_off"}),
        ],
    )  # fmt: skip
    def test_a_summary_that_contradicts_the_night_fails(self, small_night, changed, rules):
        found = wrong(archive_numbers(small_night, summary_row(**changed)))
        assert set(found) == {f"night_summary.{rule}" for rule in rules}

    def test_a_night_without_a_summary_fails(self, small_night):
        assert "night_summary.rows" in wrong(archive_numbers(small_night, None, cells={}))

    def test_an_archive_short_by_a_row_fails_the_night_with_the_next_step(self, small_night):
        frames = archive_numbers(small_night, summary_row(), [verified(found=9, archive_digest="b")])
        found = judge(frames, FOLDER, None, NIGHT)
        verdict = archive_verdict(NIGHT, found, Path("docs"))
        assert not verdict.ok and verdict.state == "failed"
        assert "archive.tables_short is 1 (ztf: 9 of 10 rows): Every row of the lake" in verdict.message
        assert verdict.message.endswith("run archive, verify_archive and summarise again")


def test_a_finding_is_told_in_one_sentence():
    one = Finding("raw", "rows", "between", "critical", "There are some.", "failed", "0 (none)")
    assert one.sentence == "raw.rows is 0 (none): There are some."
