"""The check of the archive sees every difference, in every table, and is blind to what is not of the night."""

from __future__ import annotations

import pytest

from fink_lib.archive.rows import Row
from fink_lib.archive.verify import Comparison, compare_rows
from tests.unit.archive.memory import MemoryHBase
from tests.unit.archive.nights import TABLES, archive_night, put, target

SCIENCE = archive_night(40, seed=6)
CHOSEN = {name: [2, 3, 5] for name in ("anomaly", "low_blazar_state", "high_blazar_state", "slsn")}


@pytest.fixture(params=TABLES)
def archived(request) -> tuple[MemoryHBase, str, list[Row]]:
    hbase = MemoryHBase()
    put(hbase, SCIENCE, request.param, 0, CHOSEN)
    return hbase, request.param, target(request.param, 0, CHOSEN).rows(SCIENCE)


def compare(hbase: MemoryHBase, table: str, rows: list[Row]) -> Comparison:
    return compare_rows(hbase, target(table).table, rows)


def test_what_was_written_is_equal_also_beside_other_nights(archived):
    hbase, table, rows = archived
    put(hbase, archive_night(40, 6, "20240314", 1001, 2), table, 0, CHOSEN, "20240314")
    found = compare(hbase, table, rows)
    assert found.equal and found.rows == found.found == len(rows) > 0
    assert found.lake_digest == found.archive_digest


def test_a_dropped_an_altered_and_a_shifted_row_are_named(archived):
    hbase, table, rows = archived
    (cell, value), *_ = rows[1].cells.items()
    hbase.delete(table, rows[0].key, list(rows[0].cells), rows[0].timestamp_ms)
    hbase.put(table, [Row(rows[1].key, {cell: value[:-1] + b"!"}, rows[1].timestamp_ms)], 1)
    hbase.put(table, [Row(rows[2].key, rows[2].cells, rows[2].timestamp_ms + 1)], 1)
    found = compare(hbase, table, rows)
    assert not found.equal and found.lake_digest != found.archive_digest
    assert found.missing == [rows[0].key.decode()]
    altered, shifted = found.differing
    assert altered.startswith(rows[1].key.decode()) and cell.decode() in altered
    assert shifted.startswith(rows[2].key.decode()) and "timestamp" in shifted


def test_a_cell_too_many_is_a_difference(archived):
    hbase, table, rows = archived
    if target(table).table.stacked:
        return  # other alerts of the object have cells there; the check of the whole table is the witness's
    hbase.put(table, [Row(rows[0].key, {b"p:more": b""}, rows[0].timestamp_ms)], 1)
    assert "p:more" in compare(hbase, table, rows).differing[0]


def test_what_an_earlier_archive_left_is_told():
    found = Comparison(2, 2, 7, 7, left=3)
    assert not found.equal and "earlier archive" in found.sentence
