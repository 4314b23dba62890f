"""The summary of a small night against numbers counted by hand."""

from __future__ import annotations

import csv
import json

import pytest

from fink_lib.nightly.figure import draw_summary
from fink_lib.nightly.summarise import _write_reports, compute, contradictions
from tests.night_rows import NIGHT, replace, science_rows
from tests.unit.nightly.conftest import good_science


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
        "simbad": "a1;a2", "roid": "1", "broker": "0.1.0", "science": "1", "finkclass": "fink-1", "schemavsn": "4.02",
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


def test_reports_say_the_same_as_the_tables(small_night, context, tables):
    _write_reports(context, tables)
    told = json.loads((context.report_dir / "summary.json").read_text())
    assert {name: told[name] for name in tables} == tables
    rows = list(csv.DictReader((context.report_dir / "summary.csv").read_text().splitlines()))
    assert {"night": NIGHT, "table": "class", "name": "QSO", "value": "1"} in rows
    assert len(rows) == sum(len(table) for table in tables.values())


def test_the_figure_of_a_night_is_a_function_of_the_night(small_night, tables, tmp_path):
    for name in ("one.png", "two.png"):
        draw_summary(small_night, NIGHT, tables, tmp_path / name)
    first = (tmp_path / "one.png").read_bytes()
    assert first.startswith(b"\x89PNG") and first == (tmp_path / "two.png").read_bytes()
