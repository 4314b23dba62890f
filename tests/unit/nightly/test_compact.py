"""Compaction: fewer files, the same rows, cutouts sorted, and readers of the tables as streams see nothing."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path

import pyarrow as pa
import pytest

from fink_lib.lake import Lake
from fink_lib.nightly import compact as stage
from fink_lib.nightly.compact import compact, files_of_night
from tests.night_rows import NIGHT, science_rows
from tests.unit.nightly.conftest import more_raw


def cutouts(ids: list[int], batch: str) -> pa.Table:
    number = len(ids)
    stamps = {name: pa.array([b"x"] * number, pa.binary()) for name in ("science", "template", "difference")}
    return pa.table(
        {"alert_id": pa.array(ids, pa.int64()), "batch": [batch] * number, **stamps, "night": [NIGHT] * number}
    )


@pytest.fixture
def scattered(small_night: Lake) -> Lake:
    """Add a second file to raw, and cutouts out of order in two files."""
    small_night.append("raw", more_raw(small_night, [50], [50]))
    small_night.append("cutouts", cutouts([5, 3], "g1-000000000"))
    small_night.append("cutouts", cutouts([4, 1], "g1-000000001"))
    return small_night


def last_actions(lake: Lake, table: str) -> list[dict]:
    version = lake.table(table).version()
    lines = Path(lake.uri(table), "_delta_log", f"{version:020d}.json").read_text().splitlines()
    return [entry for line in lines for name, entry in json.loads(line).items() if name in ("add", "remove")]


def rows(lake: Lake, table: str) -> list[str]:
    return sorted(repr(row) for row in lake.read(table, [NIGHT]).to_pylist())


def test_a_night_becomes_one_file_with_the_same_rows(scattered, context):
    before = rows(scattered, "raw")
    verdict = compact(context)
    assert verdict.ok and verdict.details["files"] == {
        "raw": {"before": 2, "after": 1},
        "cutouts": {"before": 2, "after": 1},
    }
    assert len(files_of_night(scattered, "raw", NIGHT)) == 1
    assert rows(scattered, "raw") == before


def test_cutouts_are_sorted_by_id(scattered, context):
    compact(context)
    assert scattered.read("cutouts", [NIGHT]).column("alert_id").to_pylist() == [1, 3, 4, 5]


def test_a_large_night_keeps_each_batch_together(scattered, context, monkeypatch):
    monkeypatch.setattr(stage, "SORTED_BYTES", 0)
    compact(context)
    batches = scattered.read("cutouts", [NIGHT]).column("batch").to_pylist()
    assert sorted(batch for batch, _ in groupby(batches)) == ["g1-000000000", "g1-000000001"]


@pytest.mark.parametrize("table", ["raw", "cutouts"])
def test_the_commit_says_that_no_data_changed(scattered, context, table):
    compact(context)
    actions = last_actions(scattered, table)
    assert len(actions) == 3 and not any(action["dataChange"] for action in actions)


def test_a_compact_night_is_left_alone(scattered, context):
    compact(context)
    versions = {table: scattered.table(table).version() for table in stage.TABLES}
    verdict = compact(context)
    assert verdict.details["files"] == {} and "compact already" in verdict.message
    assert {table: scattered.table(table).version() for table in stage.TABLES} == versions


def test_other_nights_are_left_alone(scattered, context):
    for first in (100, 200):
        scattered.append("science", science_rows(scattered, 3, night="20240313", first_id=first))
    compact(context)
    assert len(files_of_night(scattered, "science", "20240313")) == 2
