"""A lake with nights of alerts for filters to choose from."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from fink_lib.config import Settings, load_settings
from fink_lib.lake import Lake, open_lake
from tests.unit.filters.alerts import science_table
from tests.unit.filters.mixtures import mixtures

NOON = datetime(2024, 3, 12, 12, tzinfo=UTC)
NIGHTS = ("20240312", "20240313", "20240315")


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Give an installation with an empty lake."""
    home: Path = tmp_path_factory.mktemp("filters")
    settings = load_settings(home)
    open_lake(settings, "ztf").ensure()
    return settings


@pytest.fixture(scope="session")
def lake(installation: Settings) -> Lake:
    """Give its lake: three nights, one of two files, with alerts close to the limits of all filters."""
    opened = open_lake(installation, "ztf")
    for number, night in enumerate((*NIGHTS, NIGHTS[0])):
        opened.append("science", night_of(opened, night, first_id=1000 * number, number=250))
    return opened


def night_of(lake: Lake, night: str, first_id: int, number: int) -> pa.Table:
    """Make rows of ``science`` of one night."""
    schema = lake.schema("science")
    rows = science_table(mixtures(number, seed=first_id))
    ids = list(range(first_id, first_id + number))
    came = {"topic": f"ztf_{night}_programid1", "partition": 0, "kafka_time": NOON, "batch": "g1-000000001"}
    columns = {name: rows.column(name) for name in rows.column_names} | {
        "ingest": pa.array([came | {"offset": i} for i in ids], schema.field("ingest").type),
        "process": pa.array([{"batch": "g1-000000001"}] * number, schema.field("process").type),
        "candid": pa.array(ids, pa.int64()),
        "objectId": pa.array([f"ZTF24{i // 3:07d}" for i in ids]),
        "night": pa.array([night] * number),
    }
    return pa.table([columns[name].cast(schema.field(name).type) for name in schema.names], schema=schema)
