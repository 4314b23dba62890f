"""Retention removes files that were rewritten and logs that are old, and never what a night still needs."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fink_lib.config import Settings
from fink_lib.lake import Lake, open_lake
from fink_lib.nightly.compact import files_of_night, optimize
from fink_lib.nightly.nights import set_state
from fink_lib.nightly.retention import clean, remove_old, unfinished_nights, vacuum
from tests.night_rows import science_rows

NIGHT = "20240312"
LATER = datetime(2024, 4, 1, tzinfo=UTC)
WINDOW = timedelta(days=7)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


@pytest.fixture
def lake(settings: Settings) -> Lake:
    """A night in three files that were rewritten as one."""
    lake = open_lake(settings, "ztf")
    lake.ensure()
    rows = science_rows(lake, 30, night=NIGHT)
    for part in range(3):
        lake.append("science", rows.slice(part * 10, 10))
    optimize(lake, "science", NIGHT, 1)
    return lake


def on_disk(lake: Lake) -> set[str]:
    return {path.name for path in Path(lake.uri("science")).rglob("*.parquet") if "_delta_log" not in str(path)}


def test_rewritten_files_go_after_the_window_and_the_rows_stay(lake: Lake) -> None:
    assert len(on_disk(lake)) == 4
    assert vacuum(lake, "science", 24, dry_run=False).files == 0
    assert vacuum(lake, "science", 0, dry_run=True).files == 3
    assert len(on_disk(lake)) == 4
    assert vacuum(lake, "science", 0, dry_run=False).files == 3
    assert len(on_disk(lake)) == 1 == len(files_of_night(lake, "science", NIGHT))
    assert lake.count("science", NIGHT) == 30


def test_files_that_a_writer_has_not_committed_stay(lake: Lake) -> None:
    waiting = lake.write_files("science", science_rows(lake, 5, night=NIGHT, first_id=900))
    vacuum(lake, "science", 24, dry_run=False)
    assert lake.commit("science", waiting, "late", 1)
    assert lake.count("science", NIGHT) == 35
    assert lake.read("science", [NIGHT]).num_rows == 35


@pytest.mark.parametrize(
    ("state", "waits"), [(None, True), ("closed", True), ("held", True), ("failed", True), ("archived", False)]
)
def test_a_night_that_is_not_archived_keeps_every_file_of_the_lake(
    settings: Settings, lake: Lake, state: str | None, waits: bool
) -> None:
    if state:
        set_state(lake, NIGHT, state, "test", "", LATER)
    assert unfinished_nights(lake, LATER - WINDOW) == ([NIGHT] if waits else [])
    done = {one.what: one for one in clean(settings, lake, LATER, False, lambda line: None)}
    assert bool(done["science"].kept_for) == waits
    if waits:
        assert NIGHT in done["science"].kept_for


def test_a_night_within_the_window_holds_nothing_up(lake: Lake) -> None:
    assert unfinished_nights(lake, datetime(2024, 3, 13, tzinfo=UTC)) == []


def test_old_logs_go_and_new_ones_stay(tmp_path: Path) -> None:
    old, new, link = tmp_path / "a" / "old.log", tmp_path / "b" / "new.log", tmp_path / "link"
    for path in (old, new):
        path.parent.mkdir()
        path.write_text("line")
    link.symlink_to(new)
    long_ago = (LATER - timedelta(days=40)).timestamp()
    for path in (old, old.parent):
        os.utime(path, (long_ago, long_ago))
    before = LATER - timedelta(days=30)
    os.utime(new, (LATER.timestamp(), LATER.timestamp()))
    assert remove_old(tmp_path, before, dry_run=True).files == 1 and old.exists()
    found = remove_old(tmp_path, before, dry_run=False)
    assert (found.files, found.size_bytes) == (1, 4)
    assert not old.exists() and new.exists() and link.is_symlink()
