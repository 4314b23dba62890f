"""The nightly chain and HBase under fire: stages killed halfway, repeated, and the database killed in mid-archive."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from fink_lib.runtime import control
from tests.faults.archive import Archive, check_archive
from tests.faults.archived import SELECTED, TABLES
from tests.faults.evidence import Lake, read_table
from tests.faults.harness import STAGES, Harness, wait_until
from tests.faults.summary import check_summary, read_statistics

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]

ALERTS = "1200"
CHAIN = (
    "close_night",
    "reconcile",
    "compact",
    "validate",
    "select",
    "archive",
    "verify_archive",
    "summarise",
    "validate_archive",
    "publish",
)


@pytest.fixture(scope="module")
def night(harness: Harness) -> Iterator[str]:
    """One night that all streams have taken in, with HBase at hand."""
    control.bring_up(harness.settings, ["hbase"], lambda line: None)
    harness.feed("--synthetic", ALERTS, "--seed", "31", "--clock", "max", "--fault", "duplicate:0.02,empty:0.01")
    assert [harness.once(stage) for stage in STAGES] == [0, 0, 0]
    nights = {row["night"] for row in Lake.read(harness.settings.lake_root).science}
    time.sleep(harness.settings.nightly.quiet_s)
    yield max(nights)


def _archive(harness: Harness, table: str) -> Archive:
    hbase = harness.settings.hbase
    return Archive.read(hbase.thrift_host, hbase.thrift_port, table, hbase.table_prefix)


def _cells(harness: Harness) -> dict[str, Any]:
    """Every cell of every table."""
    return {
        table: sorted((row.key, sorted(row.cells.items())) for row in _archive(harness, table).rows) for table in TABLES
    }


def _archive_problems(harness: Harness, night: str) -> list[str]:
    lake = Lake.read(harness.settings.lake_root)
    science = [row for row in lake.science if row["night"] == night]
    sent = [row for row in lake.sent if row["night"] == night]
    chosen = {name: {row["alert_id"] for row in sent if row["filter"] == name} for name in SELECTED.values()}
    return [told for table in TABLES for told in check_archive(science, _archive(harness, table), table, chosen)]


def _content(harness: Harness, night: str) -> dict[str, Any]:
    """All that a repeated stage must leave as it was."""
    lake = Lake.read(harness.settings.lake_root)
    tables = {name: sorted(map(repr, getattr(lake, name))) for name in ("raw", "science", "rejected", "sent")}
    summaries = [row for row in read_table(harness.settings.lake_root, "night_summary") if row["night"] == night]
    for row in summaries:
        del row["computed"]
    return {**tables, "summary": summaries}


def test_a_stage_that_was_killed_or_repeated_changes_nothing(harness: Harness, night: str) -> None:
    chance = random.Random(7)
    for stage in CHAIN:
        begun_s = time.monotonic()
        assert harness.nightly(stage, night) == 0, harness.tail(stage)
        took_s = time.monotonic() - begun_s
        first, archived = _content(harness, night), None
        if stage == "archive":
            archived = _cells(harness)
        for share in (0.5, chance.random()):
            process = harness.start_nightly(stage, night)
            try:
                process.wait(share * took_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            for _ in range(2):
                assert harness.nightly(stage, night) == 0, harness.tail(stage)
                assert _content(harness, night) == first, f"{stage} changed the night"
        if archived is not None:
            assert _cells(harness) == archived
    assert harness.problems() == []
    lake, hbase = Lake.read(harness.settings.lake_root), harness.settings.hbase
    assert _archive_problems(harness, night) == []
    statistics = read_statistics(hbase.thrift_host, hbase.thrift_port, night, hbase.table_prefix)
    assert check_summary(lake, night, read_table(harness.settings.lake_root, "night_summary"), statistics) == []


@pytest.mark.parametrize("victim", ["hbase", "thrift"])
def test_an_archive_survives_the_death_of_the_database(harness: Harness, night: str, victim: str) -> None:
    for stage in CHAIN[: CHAIN.index("archive")]:
        assert harness.nightly(stage, night) == 0, harness.tail(stage)
    process = harness.start_nightly("archive", night)
    time.sleep(4.0)
    pid = harness.service_pid(victim)
    os.kill(pid, signal.SIGKILL)
    code = process.wait(300)
    wait_until(lambda: harness.service_pid(victim) != pid, f"{victim} was started again", 60.0)
    control.bring_up(harness.settings, ["hbase"], lambda line: None)
    if code != 0:  # the retry that a person, or Airflow, makes
        assert harness.nightly("archive", night) == 0, harness.tail("archive")
    assert harness.nightly("verify_archive", night) == 0, harness.tail("verify_archive")
    assert _archive_problems(harness, night) == []


def test_two_stages_of_one_night_never_run_at_once(harness: Harness, night: str) -> None:
    first = harness.start_nightly("archive", night)
    second = harness.start_nightly("archive", night)
    codes = sorted((first.wait(300), second.wait(300)))
    assert codes in ([0, 0], [0, 75])
