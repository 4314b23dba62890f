"""close_night: what keeps a night open, in words."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from fink_lib.nightly.close import NightRows, consumed_offsets, lag, night_rows, unfinished
from fink_lib.streams.checkpoint import new_generation
from tests.night_rows import NIGHT

DONE = NightRows(raw=13, quarantine=1, science=10, rejected=3, distributed=10)
THEN = datetime(2024, 3, 12, 12, tzinfo=UTC)


def test_nothing_is_unfinished_when_everything_was_consumed():
    assert unfinished(DONE, {("t", 0): 0}, THEN, True, 1800) == ""


@pytest.mark.parametrize(
    ("rows", "behind", "quiet", "told"),
    [
        (DONE, {("t", 0): 2, ("t", 1): 5}, True, "stream2raw is 7 messages behind, 5 of them on t[1]"),
        (NightRows(13, 1, 9, 3, 9), {}, True, "raw2science has made 12 of 13 rows"),
        (NightRows(13, 1, 10, 3, 7), {}, True, "distribution has received 7 of 10 science rows"),
        (DONE, {}, False, "the last message came at 2024-03-12 12:00:00 UTC, less than 1800 s ago"),
    ],
)
def test_the_first_stage_that_is_not_done_is_named(rows, behind, quiet, told):
    assert unfinished(rows, behind, THEN, quiet, 1800).startswith(told)


def test_a_stage_that_is_behind_comes_before_the_quiet_time():
    assert "behind" in unfinished(DONE, {("t", 0): 1}, THEN, False, 1800)


def test_lag_counts_what_is_there_and_was_not_read():
    begins, ends = {("t", 0): 3, ("t", 1): 0, ("u", 0): 7}, {("t", 0): 10, ("t", 1): 4, ("u", 0): 7}
    consumed = {("t", 0): 8, ("v", 0): 100}
    # t[1] is in no checkpoint yet; of u[0] retention has removed everything
    assert lag(begins, ends, consumed) == {("t", 0): 2, ("t", 1): 4, ("u", 0): 0}


def test_records_removed_before_they_were_read_are_no_lag():
    assert lag({("t", 0): 5}, {("t", 0): 6}, {("t", 0): 2}) == {("t", 0): 1}


def batch(folder, number, offsets, committed=True):
    for name in ("offsets", "commits"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "metadata").write_text("{}")
    (folder / "offsets" / str(number)).write_text("\n".join(["v1", "{}", json.dumps(offsets)]))
    if committed:
        (folder / "commits" / str(number)).write_text("v1\n{}")


def test_only_committed_batches_are_consumed(settings):
    folder = settings.checkpoint_dir("ztf", "stream2raw") / "g1"
    assert consumed_offsets(settings, "ztf") == {}
    batch(folder, 0, {"t": {"0": 5, "1": 2}})
    batch(folder, 1, {"t": {"0": 9, "1": 4}}, committed=False)
    assert consumed_offsets(settings, "ztf") == {("t", 0): 5, ("t", 1): 2}


def test_a_new_generation_has_consumed_what_lies_before_its_start(settings):
    batch(settings.checkpoint_dir("ztf", "stream2raw") / "g1", 0, {"t": {"0": 5}})
    new_generation(settings, "ztf", "stream2raw", json.dumps({"t": {"0": 4}}))
    assert consumed_offsets(settings, "ztf") == {("t", 0): 4}


def test_rows_of_a_night_are_counted_from_the_tables(small_night):
    assert night_rows(small_night, NIGHT) == DONE
    assert DONE.received == 14
