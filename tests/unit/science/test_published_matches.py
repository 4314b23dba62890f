"""Cross-matches of real alerts: what was published is found again, in the same catalogues or in its own labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fink_lib.config import Settings, load_settings
from fink_lib.science import Runner
from fink_lib.science.catalogs import open_catalog, source_of
from fink_lib.science.catalogs.labels import LABELS, NO_ANSWER, NOTHING_THERE
from fink_lib.science.catalogs.snapshots import snapshot_from_file
from tests.unit.science.alerts import alert, table
from tests.unit.science.reference import (
    ENRICHED,
    PUBLISHED_LISTS,
    SHARED_DATA,
    alerts_of,
    enriched_files,
    read_records,
    records_with,
)
from tests.unit.science.snapshots import built_runner
from tests.unit.science.toys import status_of

pytestmark = pytest.mark.skipif(not enriched_files(), reason="the shared sample of enriched alerts is not installed")

ANSWERED = ("ok", "no_match")


@pytest.fixture(scope="module")
def from_labels(labelled_settings: Settings) -> Runner:
    """Give the modules over snapshots made from the labels of the sample, and the published lists."""
    return built_runner(labelled_settings, [*LABELS, "mangrove", "xm_lists"])


@pytest.fixture(scope="module")
def spicy(tmp_path_factory: pytest.TempPathFactory) -> Runner:
    """Give the module over the published SPICY file."""
    settings = load_settings(tmp_path_factory.mktemp("spicy"))
    snapshot_from_file("spicy", SHARED_DATA / "catalogs" / "spicy.parquet", settings.catalog_dir)
    return built_runner(settings, ["spicy"])


def published(records: Sequence[dict[str, Any]], column: str) -> list[Any]:
    """Give published values, none where the catalogue held nothing."""
    return [None if record[column] in NOTHING_THERE else record[column] for record in records]


def answered(records: Sequence[dict[str, Any]], column: str) -> list[dict[str, Any]]:
    return [one for one in records if not str(one[column]).startswith(NO_ANSWER)]


@pytest.mark.parametrize("name", ["simbad", "tns", "gaia", "gaia_class", "vsx", "spicy"])
def test_with_label_snapshots_nineteen_rows_in_twenty_are_answered(from_labels: Runner, name: str) -> None:
    records = records_with(LABELS[name].field)
    words = status_of(from_labels.apply(alerts_of(records)).table, name)
    assert len(records) >= 66
    assert sum(word in ANSWERED for word in words) >= 0.95 * len(records)


@pytest.mark.parametrize(
    ("name", "rows", "matched"),
    [
        ("simbad", 177, 106),
        ("tns", 66, 5),
        ("gaia", 98, 71),
        ("gaia_class", 65, 14),
        ("vsx", 97, 32),
        ("spicy", 86, 26),
        ("gcvs", 101, 11),
        ("3hsp", 90, 0),
        ("4lac", 90, 0),
    ],
)
def test_every_published_label_is_found_again(from_labels: Runner, name: str, rows: int, matched: int) -> None:
    label = LABELS[name]
    records = answered(records_with(label.field), label.field)
    result = from_labels.apply(alerts_of(records)).table
    expected = published(records, label.field)
    assert len(records) >= rows
    assert sum(value is not None for value in expected) >= matched
    assert result.column(label.field).to_pylist() == expected
    assert status_of(result, name) == ["no_match" if value is None else "ok" for value in expected]


def test_parallaxes_numbers_and_flags_come_with_the_label(from_labels: Runner) -> None:
    records = [one for one in answered(records_with("DR3Name"), "DR3Name") if one["DR3Name"] != "nan"]
    result = from_labels.apply(alerts_of(records)).table
    for column in ("Plx", "e_Plx"):
        ours = np.array(result.column(column).to_pylist(), dtype=np.float32)
        np.testing.assert_array_equal(ours, np.array([one[column] for one in records], dtype=np.float32))
    assert result.column("gaiaVarFlag").to_pylist() == [one.get("gaiaVarFlag") for one in records]
    records = records_with("spicy_id")
    result = from_labels.apply(alerts_of(records)).table
    assert result.column("spicy_id").to_pylist() == [
        None if one["spicy_id"] == -1 else one["spicy_id"] for one in records
    ]


def test_where_the_service_gave_no_answer_none_is_invented(from_labels: Runner) -> None:
    records = [one for one in records_with("DR3Name") if str(one["DR3Name"]).startswith(NO_ANSWER)]
    assert len(records) == 3
    assert status_of(from_labels.apply(alerts_of(records)).table, "gaia") == ["unavailable"] * 3


def test_spicy_classes_equal_the_published_ones_on_every_row(spicy: Runner) -> None:
    records = records_with("spicy_class")
    expected = published(records, "spicy_class")
    assert (len(records), sum(value is not None for value in expected)) == (86, 26)
    assert spicy.apply(alerts_of(records)).table.column("spicy_class").to_pylist() == expected


def test_mangrove_equals_the_published_one_on_every_row(from_labels: Runner) -> None:
    def known(given: Any) -> dict[str, str] | None:
        values = {key: value for key, value in dict(given or {}).items() if value not in (None, "None")}
        return values or None

    records = records_with("mangrove")
    expected = [known(record["mangrove"]) for record in records]
    ours = from_labels.apply(alerts_of(records)).table.column("mangrove").to_pylist()
    assert (len(records), sum(value is not None for value in expected)) == (90, 8)
    assert [known(value) for value in ours] == expected


@pytest.mark.parametrize(
    ("file", "name", "rows"),
    [
        ("symbiotic_20.parquet", "symbiotic_cv", 20),
        ("tde_ZTF20abfcszi_21.parquet", "known_tde", 21),
        ("dwarf_agn_1.parquet", "dwarf_agn", 1),
    ],
)
def test_alerts_that_a_list_selected_are_on_it(from_labels: Runner, file: str, name: str, rows: int) -> None:
    result = from_labels.apply(alerts_of(read_records(ENRICHED / file))).table
    assert [name in dict(row or {}) for row in result.column("xm_lists").to_pylist()] == [True] * rows


@pytest.mark.parametrize(
    ("name", "column", "count"), [("3hsp", "x3hsp", 2013), ("4lac", "x4lac", 3814), ("gcvs", "gcvs", 59099)]
)
def test_each_source_of_a_catalogue_is_found_at_its_place(
    science_settings: Settings, name: str, column: str, count: int
) -> None:
    catalog = open_catalog(source_of(name, science_settings), science_settings.catalog_dir)
    assert catalog is not None
    assert len(catalog) == count
    rows = np.arange(0, count, max(1, count // 200))
    places = [catalog.column(axis, rows).to_pylist() for axis in ("ra", "dec")]
    made = [alert(number, ra=ra, dec=dec) for number, (ra, dec) in enumerate(zip(*places, strict=True))]
    result = built_runner(science_settings, [name]).apply(table(made)).table
    field = catalog.sources.column_names[-1]
    first = catalog.nearest(*(np.array(place) for place in places), 0.001).source
    assert pa.array(result.column(column).to_pylist()).equals(catalog.column(field, first))
    assert status_of(result, name) == ["ok"] * len(made)


def test_both_tables_of_4lac_are_there(science_settings: Settings) -> None:
    catalog = open_catalog(source_of("4lac", science_settings), science_settings.catalog_dir)
    assert catalog is not None
    names = set(catalog.sources.column("name").to_pylist())
    assert {"4FGL J0001.2+4741", "4FGL J0012.0+7043"} <= names


def test_the_published_files_of_lists_hold_what_they_should(labelled_settings: Settings) -> None:
    sizes = {}
    for name in PUBLISHED_LISTS:
        catalog = open_catalog(source_of(name, labelled_settings), labelled_settings.catalog_dir)
        assert catalog is not None
        sizes[name] = len(catalog)
    assert sizes == {"magnetic_cv": 245, "symbiotic_cv": 2857, "known_tde": 148, "dwarf_agn": 16}
