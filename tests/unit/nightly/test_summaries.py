"""The summary of a small night against numbers counted by hand."""

from __future__ import annotations

import csv
import dataclasses
import json
import re

import pyarrow as pa
import pytest
from astropy.io.votable import parse
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from fink_lib.config import Settings
from fink_lib.lake import open_lake
from fink_lib.nightly.coverage import ORDER, sky_coverage
from fink_lib.nightly.decisions import decide
from fink_lib.nightly.figure import draw_summary
from fink_lib.nightly.judging import Finding
from fink_lib.nightly.night_figures import class_mix, latency_ladder, magnitude_histograms, sky_map
from fink_lib.nightly.nights import set_state
from fink_lib.nightly.periods import DIGITS, sum_nights
from fink_lib.nightly.quality import keep_quality
from fink_lib.nightly.rollup import rollup, write_rollups
from fink_lib.nightly.stage import Verdict, keep_verdict
from fink_lib.nightly.summarise import compute, contradictions, summary_of_night
from fink_lib.nightly.summary_files import FILES, write_reports
from tests.night_rows import NIGHT, replace, science_rows
from tests.unit.nightly.conftest import NOW, good_science, raw_of, sent_rows


@pytest.fixture
def tables(small_night):
    return compute(small_night, NIGHT)


def test_basic_counts(tables):
    assert tables["basic"] == {
        "raw": 13,
        "sci": 10,
        "night": 20240312,
        "n_g": 5,
        "n_r": 5,
        "exposures": 1,
        "fields": 1,
        "rejected": 2,
        "duplicates": 1,
        "quarantined": 1,
        "unavailable_simbad": 1,
        "unavailable_roid": 0,
    }


def test_class_counts(tables):
    assert tables["class"] == {
        "Ambiguous": 0,
        "Solar System MPC": 1,
        "Tracklet": 0,
        "Solar System candidate": 0,
        "Kilonova candidate": 0,
        "Early SN Ia candidate": 0,
        "SN candidate": 1,
        "Microlensing candidate": 0,
        "Unknown": 3,
        "QSO": 1,
        "RRLyr": 1,
        "Seyfert_1": 1,
        "unavailable": 2,
        "simbad_tot": 3,
        "simbad_gal": 1,  # Seyfert_1; a QSO is no host
        "simbad_gal_fink": 8,  # Seyfert_1, five without a match, two not consulted
    }


def test_filters_and_versions(tables):
    assert tables["filters"] == {"unknowns": 3}
    assert tables["versions"] == {
        "catalog.simbad": "a1;a2", "roid": "1", "broker": "0.1.0", "science": "1", "finkclass": "fink-1",
        "schemavsn": "4.02",
    }  # fmt: skip


def test_the_classes_sum_to_the_science_alerts(tables):
    classes = tables["class"]
    assert sum(n for name, n in classes.items() if not name.startswith("simbad_")) == tables["basic"]["sci"]
    assert contradictions(tables) == []


def test_a_contradiction_is_named(tables):
    tables["basic"]["raw"] += 1
    tables["class"]["Unknown"] -= 1
    assert contradictions(tables) == [
        "raw 14 is not sci 10 + rejected 2 + duplicates 1",
        "the classes sum to 9, not to sci 10",
    ]


def test_exposures_and_fields_are_counted_once(lake):
    lake.append("science", science_rows(lake, 50))
    basic = compute(lake, NIGHT)["basic"]
    assert (basic["exposures"], basic["fields"]) == (3, 3)


def test_an_object_of_unknown_and_transient_type_is_no_label(lake):
    labels = ["?", "ev", "Galaxy", "GalaxyPair"] + ["Star"] * 6
    rows = replace(good_science(lake), cdsxmatch=labels, fink_status=[[("simbad", "ok")]] * 10)
    lake.append("science", rows)
    assert compute(lake, NIGHT)["class"]["simbad_tot"] == 6


def test_a_night_without_science_is_all_zero(lake):
    tables = compute(lake, NIGHT)
    assert tables["basic"]["sci"] == tables["basic"]["raw"] == 0
    assert set(tables["class"].values()) == {0} and contradictions(tables) == []


def test_other_nights_are_not_counted(small_night, tables):
    small_night.append("science", science_rows(small_night, 5, night="20240313", first_id=100))
    assert compute(small_night, NIGHT) == tables


@pytest.fixture
def judged(small_night, context):
    """Give the small night with what the chain does before it is summarised: ledger, rules, a release."""
    stages = [{"stage": "stream2raw", "left": {"messages": 14}, "right": {"raw": 13, "quarantined": 1}}]
    keep_verdict(context, "reconcile", Verdict(True, "closes", {"ledger": {"stages": stages}}))
    found = [
        Finding("raw", "rows", "r", "critical", "There are some.", "passed"),
        Finding("raw", "rb_mode_share", "r", "critical", "It varies.", "failed", "1"),
        Finding("drift", "rate_off", "r", "warning", "It is steady.", "failed", "6"),
        Finding("drift", "rb_off", "r", "warning", "It is steady.", "not applied", needs="5 nights"),
    ]
    keep_quality(small_night, NIGHT, ("raw", "drift"), {"alerts": 13.0}, found, NOW)
    set_state(small_night, NIGHT, "held", "validate", "rb is constant", NOW)
    decide(context.settings, "ztf", NIGHT, "release", "ada", "it was the <old> classifier", NOW)
    return small_night


@pytest.fixture(scope="module")
def lake_without_rows(tmp_path_factory):
    """Give a lake that is asked for its schemas only."""
    return open_lake(Settings(home=tmp_path_factory.mktemp("schemas")), "ztf")


def store(lake, context):
    """Put the night's summary into the lake."""
    row = summary_of_night(context).row(NOW)
    lake.replace_night("night_summary", context.night, pa.Table.from_pylist([row], schema=lake.schema("night_summary")))


def test_rules_ledger_and_decisions_are_in_the_summary(judged, context):
    summary = summary_of_night(context)
    assert summary.tables["quality"] == {
        "critical": 0, "info": 0, "not_applied": 1, "passed": 1, "released": 1, "warning": 1
    }  # fmt: skip
    assert summary.tables["ledger"] == {
        "stream2raw.messages": 14, "stream2raw.quarantined": 1, "stream2raw.raw": 13
    }  # fmt: skip
    assert summary.warnings == [
        "critical: raw.rb_mode_share is 1: It varies.", "warning: drift.rate_off is 6: It is steady."
    ]  # fmt: skip
    assert [(one.decision, one.by) for one in summary.decided] == [("release", "ada")]


def test_latency_is_counted_from_kafka(small_night, context):
    second = 1_000_000
    start = 1_710_300_000 * second
    science = small_night.read("science", [NIGHT])
    ended = [start + (4 + number) * second for number in range(10)]
    small_night.replace_night("science", NIGHT, replace(science, process={"ended": ended}))
    rows = replace(sent_rows(small_night, [1, 2, 3]), sent_time=[start + n * second for n in (20, 30, 40)],
                   late=[False, False, True], batch=["g1-0"] * 3)  # fmt: skip
    small_night.replace_night("sent", NIGHT, rows)
    latency = summary_of_night(context).tables["latency"]
    assert (latency["received_s.p50"], latency["science_s.p50"], latency["sent_s.p50"]) == (1.0, 8.5, 25.0)
    assert latency["sent_s.p99"] == pytest.approx(29.9)
    assert latency["exposure_s.p50"] > 0


def test_fields_and_the_sky_are_counted_by_band(lake, context):
    lake.append("science", replace(science_rows(lake, 50), objectId=[None] * 50))
    summary = summary_of_night(context)
    fields = summary.fields.to_pylist()
    assert {(row["field"], row["band"], row["exposures"]) for row in fields} == {
        (400, "g", 1), (400, "r", 1), (401, "g", 1), (401, "r", 1), (402, "g", 1), (402, "r", 1)
    }  # fmt: skip
    assert sum(row["alerts"] for row in fields) == 50
    assert sum(row["alerts"] for row in summary.coverage.to_pylist()) == 50


def test_a_pixel_holds_what_lies_in_it_once_for_each_band():
    places = pa.table({"ra": [10.0, 10.01, 190.0, 10.0], "dec": [5.0, 5.01, -40.0, 5.0], "jd": [1.0, 2.0, 1.0, 1.0],
                       "band": ["g", "g", "g", "r"]})  # fmt: skip
    rows = sky_coverage(places).to_pylist()
    assert sorted((row["band"], row["exposures"], row["alerts"]) for row in rows) == [
        ("g", 1, 1), ("g", 2, 2), ("r", 1, 1)
    ]  # fmt: skip
    assert len({row["pixel"] for row in rows}) == 2
    assert all(0 <= row["pixel"] < 12 * 4**ORDER for row in rows)
    assert sky_coverage(places.slice(0, 0)).num_rows == 0


def test_reports_say_the_same_as_the_tables(judged, context):
    summary = summary_of_night(context)
    assert write_reports(context, summary) == [str(context.report_dir / name) for name in FILES]
    told = json.loads((context.report_dir / "summary.json").read_text())
    assert {name: told[name] for name in summary.tables} == summary.tables
    assert told["decisions"][0]["reason"] == "it was the <old> classifier"
    rows = list(csv.DictReader((context.report_dir / "summary.csv").read_text().splitlines()))
    assert {"night": NIGHT, "table": "class", "name": "QSO", "value": "1"} in rows
    assert len(rows) == sum(len(table) for table in summary.tables.values())


def test_the_votable_is_read_by_astropy(judged, context):
    summary = summary_of_night(context)
    write_reports(context, summary)
    tables = {table.name: table.to_table() for table in parse(context.report_dir / "summary.vot").iter_tables()}
    assert set(tables) == {*summary.tables, "fields", "coverage"}
    counted = {str(row["name"]): row["value"] for row in tables["basic"]}
    assert counted == summary.tables["basic"]
    assert list(tables["coverage"].columns) == ["pixel", "band", "exposures", "alerts"]
    assert float(tables["fields"]["depth_mag"][0]) == 20.5


def test_the_page_of_a_night_tells_what_a_scientist_asks(judged, context):
    write_reports(context, summary_of_night(context))
    page = (context.report_dir / "summary.html").read_text()
    assert "ZTF night of 12 March 2024" in page
    assert "10 of 13 alerts became science" in page
    assert "1 of 4 quality rules hold, 1 warnings, 1 released by a person" in page
    assert "it was the &lt;old&gt; classifier" in page and "<old>" not in page
    assert page.count("<svg") == 4 and "unknowns" in page and "@media print" in page
    assert "http://" not in re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL)  # it needs nothing from outside


def test_the_same_night_gives_the_same_page(judged, context):
    pages = []
    for _ in range(2):
        write_reports(context, summary_of_night(context))
        pages.append([(context.report_dir / name).read_bytes() for name in FILES if not name.endswith("vot")])
    assert pages[0] == pages[1]


def test_an_empty_night_can_be_drawn():
    none = pa.array([], pa.float64())
    nothing = pa.table({"ra": none, "dec": none, "jd": none, "band": pa.array([], pa.string()), "magnitude": none})
    for drawn in (sky_map(sky_coverage(nothing)), magnitude_histograms(nothing), class_mix({}, []), latency_ladder({})):
        assert drawn.startswith("<svg") and drawn.rstrip().endswith("</svg>")


def test_the_class_mix_is_drawn_beside_the_nights_before():
    drawn = class_mix({"QSO": 5, "Unknown": 5, "simbad_tot": 9}, [{"QSO": 1, "RRLyr": 9}, {"RRLyr": 10}])
    assert "range of 2 nights before" in drawn and "RRLyr" in drawn and "simbad_tot" not in drawn


def test_what_the_archive_gets_are_whole_numbers(judged, context):
    statistics = summary_of_night(context).statistics()
    assert statistics["basic"]["sci"] == 10 and statistics["basic"]["messages"] == 14
    assert statistics["basic"]["rules_warning"] == 1 and statistics["basic"]["sky_pixels"] > 0
    assert all(isinstance(number, int) for table in statistics.values() for number in table.values())


def test_a_month_and_a_year_are_the_sums_of_their_nights(judged, context, settings):
    store(judged, context)
    other = replace(good_science(judged), night=["20240401"] * 10, candid=range(101, 111))
    judged.append("science", other)
    judged.append("raw", raw_of(judged, other))
    april = dataclasses.replace(context, night="20240401")
    for _ in range(2):  # a night that is summarised again is not added again
        store(judged, april)
    march, year = rollup(judged, "202403"), rollup(judged, "2024")
    assert (march["basic"]["sci"], march["basic"]["nights"], march["filters"]) == (10, 1, {"unknowns": 3})
    assert (year["basic"]["sci"], year["basic"]["raw"], year["basic"]["nights"]) == (20, 23, 2)
    assert (year["basic"]["fields"], year["class"]["QSO"]) == (1, 2) and "night" not in year["basic"]
    assert [row["night"] for row in year["nights"]] == [NIGHT, "20240401"]
    assert len(write_rollups(april)) == 6
    written = json.loads((settings.home / "reports" / "ztf" / "years" / "2024.json").read_text())
    assert written == year


def summaries(lake, nights):
    """Give rows of ``night_summary``: night, its counts, and the fields and pixels that it saw (None: not counted)."""
    rows = [
        {
            "night": night,
            "basic": [("night", int(night)), ("fields", len(seen or ())), *basic.items()],
            "fields": None if seen is None else [{"field": field, "band": "g"} for field in seen],
            "coverage": None if seen is None else [{"pixel": field, "band": "g"} for field in seen],
            "computed": NOW,
        }
        for night, basic, seen in nights
    ]
    return pa.Table.from_pylist(rows, schema=lake.schema("night_summary"))


def test_every_month_is_summed_by_itself_and_fields_are_counted_once(lake):
    rows = summaries(
        lake,
        [
            ("20240131", {"sci": 1}, [400]),
            ("20240201", {"sci": 2}, [400, 401]),
            ("20240229", {"sci": 4, "rejected": 8}, [401, 402]),
            ("20250201", {"sci": 16}, []),
            ("20250301", {"sci": 32}, None),
        ],
    )
    months = {month: parts["basic"] for month, parts in sum_nights(rows, "month").items()}
    assert list(months) == ["202401", "202402", "202502", "202503"]
    assert months["202402"] == {"nights": 2, "sci": 6, "rejected": 8, "fields": 3, "sky_pixels": 3}
    assert (months["202502"]["fields"], months["202502"]["sky_pixels"]) == (0, 0)
    assert "fields" not in months["202503"], "a count that was never made is not zero"
    years = {year: parts["basic"]["sci"] for year, parts in sum_nights(rows, "year").items()}
    assert years == {"2024": 7, "2025": 48}
    assert sum_nights(rows.slice(0, 0), "year") == {}


@hypothesis_settings(max_examples=10, deadline=None)
@given(counts=st.lists(st.integers(0, 10**15), min_size=1, max_size=40))
def test_years_and_months_sum_to_the_nights(lake_without_rows, counts):
    nights = [f"{2020 + place // 10}{1 + place % 10:02d}01" for place in range(len(counts))]
    chosen = [(night, {"sci": count}, None) for night, count in zip(nights, counts, strict=True)]
    rows = summaries(lake_without_rows, chosen)
    for period in DIGITS:
        assert sum(parts["basic"]["sci"] for parts in sum_nights(rows, period).values()) == sum(counts)


def test_the_figure_of_a_night_is_a_function_of_the_night(small_night, tables, tmp_path):
    for name in ("one.png", "two.png"):
        draw_summary(small_night, NIGHT, tables, tmp_path / name)
    first = (tmp_path / "one.png").read_bytes()
    assert first.startswith(b"\x89PNG") and first == (tmp_path / "two.png").read_bytes()
