"""SIMBAD from a snapshot: a label where there is one, and no claim where the snapshot does not look."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from fink_lib.config import load_settings
from fink_lib.science import Runner
from fink_lib.science.contract import complaints
from fink_lib.science.loading import find_class_rule, find_modules
from fink_lib.surveys import get_survey
from tests.unit.science.alerts import alert, table
from tests.unit.science.test_catalogs import write_snapshot
from tests.unit.science.toys import status_of, values

ARCSEC = 1 / 3600


@pytest.fixture
def with_snapshot(tmp_path: Path) -> Runner:
    settings = load_settings(tmp_path)
    write_snapshot(
        settings.catalog_dir,
        [
            {"ra": 150.0, "dec": 2.0, "name": "a star", "main_type": "RRLyr"},
            {"ra": 10.0, "dec": 0.0, "name": "not covered", "main_type": "QSO"},
        ],
        fink_coverage=json.dumps([[150.0, 2.0, 0.5]]),
    )
    survey = get_survey("ztf")
    modules = [one for one in find_modules(survey, settings) if one.declaration.name in ("simbad", "roid")]
    runner = Runner(survey, modules, find_class_rule(survey))
    runner.versions()  # builds the catalogue, as a stream does before its first batch
    return runner


ALERTS = table(
    [
        alert(1),
        alert(2, dec=2.0 + 0.3 * ARCSEC),
        alert(3, dec=2.0 + 1.1 * ARCSEC),
        alert(4, ra=10.0, dec=0.0),
    ]
)


def test_a_label_a_miss_and_a_place_outside_the_coverage(with_snapshot: Runner) -> None:
    result = with_snapshot.apply(ALERTS)
    assert status_of(result.table, "simbad") == ["ok", "ok", "no_match", "unavailable"]
    assert values(result.table, "cdsxmatch") == ["RRLyr", "RRLyr", None, None]
    assert values(result.table, "finkclass") == ["RRLyr", "RRLyr", "Unknown", None]
    assert values(result.table, "finkclass2") == ["RRLyr", "RRLyr", "Unknown", None]
    separations = [dict(row).get("simbad") for row in result.table.column("xm_sep").to_pylist()]
    assert separations == [pytest.approx(0.0, abs=1e-6), pytest.approx(0.3, abs=1e-5), None, None]


def test_the_snapshot_is_named_in_the_versions(with_snapshot: Runner) -> None:
    versions = dict(with_snapshot.apply(ALERTS).table.column("fink_versions").to_pylist()[0])
    assert versions["catalog.simbad"].startswith("7@sha256:")


def test_without_a_snapshot_nothing_is_claimed(runner: Runner) -> None:
    result = runner.apply(ALERTS)
    assert status_of(result.table, "simbad") == ["unavailable"] * 4
    assert values(result.table, "cdsxmatch") == [None] * 4
    assert values(result.table, "finkclass") == [None] * 4


def test_matches_depend_on_the_alert_alone(with_snapshot: Runner) -> None:
    many = pa.concat_tables([ALERTS] * 50).combine_chunks()
    assert complaints(with_snapshot, "simbad", many) == []
