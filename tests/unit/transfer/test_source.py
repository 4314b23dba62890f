"""Reading the lake: the same rows in the same order, whatever happens to the files meanwhile."""

from __future__ import annotations

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from fink_lib.errors import ConfigError
from fink_lib.lake import Lake
from fink_lib.nightly.compact import optimize
from fink_lib.transfer.choice import Choice
from fink_lib.transfer.job import Selection
from fink_lib.transfer.source import Source
from tests.unit.transfer.nights import FIRST, NIGHTS, SECOND, add_night

COLUMNS = ["candid", "objectId"]
EVERY = [FIRST, SECOND]
PARTITIONS = 4
Rows = list[tuple[str, int, int, int]]


def choice(lake: Lake, *where: str) -> Choice:
    return Choice(Selection("ztf", NIGHTS, where=where), lake.survey)


def read(source: Source, chosen: Choice, ends: tuple[int, ...] = (0,) * PARTITIONS, piece_rows: int = 7) -> Rows:
    """Give night, partition, offset and id of each row."""
    return [
        (piece.night, int(partition), int(offset), alert_id)
        for piece in source.pieces(chosen, EVERY, COLUMNS, ends, piece_rows)
        for partition, offset, alert_id in zip(
            piece.partitions, piece.offsets, piece.rows.column("candid").to_pylist(), strict=True
        )
    ]


def test_every_chosen_alert_comes_once_night_by_night(lake: Lake, alerts: pa.Table) -> None:
    source, chosen = Source(lake), choice(lake, "roid IN (1, 2)")
    rows = read(source, chosen)
    wanted = {row["candid"] for row in alerts.select(["candid", "roid"]).to_pylist() if row["roid"] in (1, 2)}
    assert sorted(row[3] for row in rows) == sorted(wanted)
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)
    assert sum(source.counts(chosen, EVERY, PARTITIONS)) == len(rows)


@pytest.mark.parametrize("piece_rows", [1, 7, 1000])
def test_the_size_of_a_piece_changes_no_place(lake: Lake, alerts: pa.Table, piece_rows: int) -> None:
    source, chosen = Source(lake), choice(lake)
    assert read(source, chosen, piece_rows=piece_rows) == read(source, chosen)


@pytest.mark.parametrize("ends", [(3, 0, 7, 2), (99, 99, 99, 99)])
def test_rows_that_are_there_are_left_out_and_the_others_keep_their_places(
    lake: Lake, alerts: pa.Table, ends: tuple[int, ...]
) -> None:
    source, chosen = Source(lake), choice(lake)
    assert read(source, chosen, ends) == [row for row in read(source, chosen) if row[2] >= ends[row[1]]]


def test_one_version_stays_one_version(lake: Lake, alerts: pa.Table) -> None:
    chosen = choice(lake)
    source = Source(lake)
    before, counted = read(source, chosen), source.counts(chosen, EVERY, PARTITIONS)
    optimize(lake, "science", FIRST, 0)
    add_night(lake, SECOND, 5000)
    again = Source(lake, source.version)
    assert (read(again, chosen), again.counts(chosen, EVERY, PARTITIONS)) == (before, counted)
    assert len(read(Source(lake), chosen)) > len(before)


def test_files_that_were_removed_are_said_to_be_gone(lake: Lake, alerts: pa.Table) -> None:
    version = Source(lake).version
    optimize(lake, "science", FIRST, 0)
    DeltaTable(lake.uri("science")).vacuum(0, dry_run=False, enforce_retention_duration=False)
    with pytest.raises(ConfigError, match=f"no longer holds version {version}.*submit it again"):
        read(Source(lake, version), choice(lake))
    with pytest.raises(ConfigError, match="no longer holds version 999"):
        Source(lake, 999)


def test_an_empty_lake_has_no_nights(lake: Lake) -> None:
    assert Source(lake).nights == []
