"""A night made anew replaces itself: whatever dies and is tried again, the archive holds what was made last, alone."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fink_lib.archive.journal import (
    clear_ghosts,
    earlier_parts,
    finish_generation,
    is_finished,
    open_generation,
    present_generation,
)
from tests.night_rows import NIGHT
from tests.unit.archive.memory import KilledError, MemoryHBase
from tests.unit.archive.nights import TABLES, archive_night, put, target

NUMBER = 24
SCIENCE = {seed: archive_night(NUMBER, seed) for seed in range(3)}
CHOSEN = {name: [2, 3, 5, 7, 11] for name in ("anomaly", "low_blazar_state", "high_blazar_state", "slsn")}


def archive(hbase: MemoryHBase, table: str, seed: int, rows: range) -> int:
    """Archive a night as the writer does; gives its generation."""
    science = SCIENCE[seed].slice(rows.start, len(rows))
    generation = open_generation(hbase, table, NIGHT, f"{seed} {rows}")
    put(hbase, science, table, generation, CHOSEN)
    clear_ghosts(hbase, table, NIGHT, generation)
    return generation


def expected(table: str, seed: int, rows: range, generation: int) -> dict:
    science = SCIENCE[seed].slice(rows.start, len(rows))
    cells: dict = {}
    for row in target(table, generation, CHOSEN).rows(science):
        cells.setdefault(row.key, {}).update({name: (value, row.timestamp_ms) for name, value in row.cells.items()})
    return cells


editions = st.tuples(st.integers(0, 2), st.integers(0, 12), st.integers(1, NUMBER)).map(
    lambda e: (e[0], range(e[1], max(e[1] + 1, e[2])))
)
steps = st.lists(st.tuples(editions, st.none() | st.integers(0, 60), st.booleans()), min_size=1, max_size=5)


@pytest.mark.parametrize("table", TABLES)
@settings(max_examples=8, deadline=None)
@given(steps=steps, last=editions)
def test_a_night_holds_what_was_made_last_whatever_died_before(table, steps, last):
    hbase = MemoryHBase()
    for (seed, rows), calls, compacted in steps:
        hbase.calls = calls
        try:
            archive(hbase, table, seed, rows)
        except KilledError:
            pass
        if compacted:
            hbase.compact()
    hbase.calls = None
    generation = archive(hbase, table, *last)
    assert hbase.everything(table) == expected(table, *last, generation)
    assert earlier_parts(hbase, table, NIGHT, generation) == 0


@pytest.mark.parametrize("table", TABLES)
def test_the_same_night_again_is_the_same_generation_and_the_same_cells(table):
    hbase = MemoryHBase()
    assert archive(hbase, table, 0, range(NUMBER)) == 0
    once = hbase.everything(table)
    assert archive(hbase, table, 0, range(NUMBER)) == 0
    assert hbase.everything(table) == once


@pytest.mark.parametrize("table", TABLES)
def test_a_replay_leaves_the_nights_around_it_alone(table):
    hbase = MemoryHBase()
    for seed, (night, days) in enumerate((("20240311", -1), ("20240313", 1))):
        put(hbase, archive_night(NUMBER, seed, night, 1000 * days + 5000, days), table, 0, CHOSEN, night)
    around = hbase.everything(table)
    archive(hbase, table, 0, range(NUMBER))
    archive(hbase, table, 1, range(5))
    archive(hbase, table, 1, range(0))
    assert hbase.everything(table) == around


def test_a_row_that_comes_back_is_not_hidden_by_its_own_tombstone():
    hbase = MemoryHBase()
    for rows in (range(NUMBER), range(10), range(NUMBER)):
        generation = archive(hbase, "ztf", 0, rows)
    assert generation == 2
    assert hbase.everything("ztf") == expected("ztf", 0, range(NUMBER), 2)


def test_a_night_that_was_never_archived_has_no_generation_and_a_finished_one_stays_so():
    hbase = MemoryHBase()
    assert present_generation(hbase, "ztf", NIGHT) is None and not is_finished(hbase, "ztf", NIGHT)
    open_generation(hbase, "ztf", NIGHT, "a")
    assert not is_finished(hbase, "ztf", NIGHT)
    finish_generation(hbase, "ztf", NIGHT)
    assert open_generation(hbase, "ztf", NIGHT, "a") == 0 and is_finished(hbase, "ztf", NIGHT)
    assert open_generation(hbase, "ztf", NIGHT, "b") == 1 and not is_finished(hbase, "ztf", NIGHT)
