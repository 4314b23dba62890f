"""An installation with its catalogues, built once, and alerts to apply science to."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from fink_lib.config import Settings, load_settings
from fink_lib.science import Runner, build_runner
from fink_lib.science.catalogs.labels import DEFAULT, labelled, read_alerts
from fink_lib.science.catalogs.snapshots import snapshot_from_file, write_snapshot
from fink_lib.surveys import get_survey
from tests.unit.science.alerts import alert, detection, limit, table
from tests.unit.science.reference import (
    ENRICHED,
    PUBLISHED_LISTS,
    SHARED_DATA,
    alerts_of,
    enriched_files,
    read_records,
)


@pytest.fixture(scope="session")
def science_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Give an installation without a SIMBAD snapshot."""
    home: Path = tmp_path_factory.mktemp("science")
    return load_settings(home)


@pytest.fixture(scope="session")
def labelled_settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Give an installation with snapshots made from the labels of the shared sample, and the published lists."""
    settings = load_settings(tmp_path_factory.mktemp("labelled"))
    alerts = read_alerts([ENRICHED])
    for name in DEFAULT:
        found = labelled(name, alerts)
        write_snapshot(name, found.table, settings.catalog_dir, "labels", coverage=found.coverage)
    for name, file in PUBLISHED_LISTS.items():
        snapshot_from_file(name, SHARED_DATA / "catalogs" / file, settings.catalog_dir)
    return settings


@pytest.fixture(scope="session")
def runner(science_settings: Settings) -> Runner:
    """Give the runner of ZTF with all modules."""
    return build_runner(get_survey("ztf"), science_settings)


@pytest.fixture(scope="session")
def varied_alerts() -> pa.Table:
    """Give alerts that differ in everything the modules look at; real ones too where they are installed."""
    made = [
        alert(
            1000 + number,
            previous=[None, [], [detection(3.0), limit(2.0)], [detection(0.01, fid=2), detection(0.01, fid=2)]][
                number % 4
            ],
            ra=(number * 37.7) % 360,
            dec=(number * 7.3) % 178 - 89,
            ndethist=1 + number % 6,
            sgscore1=[0.1, 0.9, None][number % 3],
            distpsnr1=[-999.0, 1.0, 9.0][number % 3],
            ssdistnr=[-999.0, 0.5, 4.9, 5.0][number % 4],
        )
        for number in range(60)
    ]
    tables = [table(made)]
    for path in enriched_files():
        records = [one for one in read_records(path) if one.get("candidate")]
        if records:
            tables.append(alerts_of(records))
    return pa.concat_tables(tables).combine_chunks()
