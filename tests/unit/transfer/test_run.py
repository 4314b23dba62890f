"""A job to files, from submission to its end: counted, killed, gone on with, cancelled."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from fink_lib.config import Settings
from fink_lib.errors import ConfigError, LockedError
from fink_lib.lake import Lake
from fink_lib.nightly.nights import set_state
from fink_lib.transfer import files, life, submit
from fink_lib.transfer.choice import Choice
from fink_lib.transfer.content import Content
from fink_lib.transfer.job import CANCELLED, DONE, FAILED, RUNNING, Job, JobStore, Selection
from fink_lib.transfer.run import run_job
from tests.unit.transfer.nights import ALERTS, FIRST, NIGHTS, SECOND, add_night

NOW = datetime(2026, 3, 23, 4, 5, 6, tzinfo=UTC)


class Killed(BaseException):
    """Ends a process as nothing can catch."""


def ask(settings: Settings, folder: Path, **asked: Any) -> Job:
    """Submit a job that writes files."""
    return submit.submit(settings, Selection("ztf", NIGHTS, **asked), NOW, folder)


def run(settings: Settings, job: Job, tell: Callable[[str], None] = print) -> Job:
    """Run it."""
    return run_job(settings, job.id, tell)


def rows_in(folder: Path) -> pa.Table:
    """Read all files of a transfer."""
    return pa.concat_tables([pq.read_table(file) for file in sorted(folder.glob("*.parquet"))]).sort_by("candid")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "out"


def test_the_files_hold_each_chosen_alert_once_with_its_images(
    settings: Settings, alerts: pa.Table, folder: Path
) -> None:
    job = ask(settings, folder, where=("roid IN (0, 4)",))
    wanted = [row for row in alerts.to_pylist() if row["roid"] in (0, 4)]
    assert job.plan.rows == len(wanted)
    done = run(settings, job)
    assert (done.state, done.sent) == (DONE, len(wanted))
    rows = rows_in(folder).to_pylist()
    assert [row["candid"] for row in rows] == sorted(row["candid"] for row in wanted)
    for row in rows:
        image = row["cutoutScience"]["stampData"]
        assert image == (None if row["candid"] % 4 == 3 else f"science-{row['candid']}".encode())
        assert (row["year"], row["month"], row["day"]) == (2024, 3, 12 if row["candid"] < 1000 else 13)


def test_the_rows_are_those_that_a_topic_would_hold(settings: Settings, lake: Lake, alerts: pa.Table) -> None:
    folder = settings.home / "out"
    run(settings, ask(settings, folder, columns=("medium",)))
    assert rows_in(folder).schema.remove_metadata() == Content(lake.survey, ["medium"]).schema


def test_the_expected_number_is_counted_before_and_the_size_is_that_of_the_rows(
    settings: Settings, alerts: pa.Table
) -> None:
    full, light = (submit.plan(settings, Selection("ztf", NIGHTS, columns=(c,))) for c in ("full", "light"))
    assert full.rows == light.rows == 2 * ALERTS
    assert full.nights == (FIRST, SECOND)
    assert len(full.expected) == settings.kafka.partitions
    assert full.size_bytes > light.size_bytes > 0


@pytest.mark.parametrize("death", [1, 4])
def test_a_killed_run_is_gone_on_with(
    settings: Settings, alerts: pa.Table, folder: Path, monkeypatch: pytest.MonkeyPatch, death: int
) -> None:
    job = ask(settings, folder, columns=("light",))
    turns = iter(range(1, 100))

    def die(*_: Any) -> None:
        if next(turns) == death:
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(files, "failpoint", die)
        with pytest.raises(Killed):
            run(settings, job)
    assert JobStore(settings.home).find(job.id).state == RUNNING
    kept = {file.name: file.stat().st_mtime_ns for file in folder.glob("*.parquet")}
    assert len(kept) == death - 1
    assert run(settings, job).state == DONE
    assert rows_in(folder).column("candid").to_pylist() == sorted(alerts.column("candid").to_pylist())
    assert {name: (folder / name).stat().st_mtime_ns for name in kept} == kept
    assert not list(folder.glob(f"*{files.UNFINISHED}"))


def test_alerts_that_come_after_the_submission_are_not_part_of_it(
    settings: Settings, lake: Lake, alerts: pa.Table, folder: Path
) -> None:
    job = ask(settings, folder, columns=("light",))
    add_night(lake, SECOND, 9000)
    assert run(settings, job).sent == 2 * ALERTS
    assert pc.max(rows_in(folder).column("candid")).as_py() < 9000


def test_an_empty_selection_says_so(settings: Settings, alerts: pa.Table, folder: Path) -> None:
    told: list[str] = []
    done = run(settings, ask(settings, folder, where=("roid > 99",)), told.append)
    assert (done.state, done.sent, done.plan.size_bytes) == (DONE, 0, 0)
    assert done.message == "the selection holds no alert"
    assert told[-1] == "done: the selection holds no alert"


def test_a_file_that_is_not_of_the_job_fails_it(settings: Settings, alerts: pa.Table, folder: Path) -> None:
    job = ask(settings, folder, columns=("light",))
    folder.mkdir()
    pq.write_table(pa.table({"a": [1, 2]}), folder / "stranger.parquet")
    with pytest.raises(ConfigError, match=f"hold {2 * ALERTS + 2} rows of {2 * ALERTS}"):
        run(settings, job)
    failed = JobStore(settings.home).find(job.id)
    assert failed.state == FAILED and "stranger" not in failed.message and "empty folder" in failed.message


def test_a_folder_with_anything_in_it_is_refused(settings: Settings, alerts: pa.Table, folder: Path) -> None:
    folder.mkdir()
    (folder / "notes.txt").touch()
    with pytest.raises(ConfigError, match="not an empty folder"):
        ask(settings, folder)
    assert JobStore(settings.home).list() == []


def test_a_changed_filter_or_packet_ends_the_job(
    settings: Settings, alerts: pa.Table, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ask(settings, folder)
    with monkeypatch.context() as patched:
        patched.setattr(Choice, "__init__", _other_digest)
        with pytest.raises(ConfigError, match="have changed meanwhile; submit it again"):
            run(settings, job)
    with monkeypatch.context() as patched:
        patched.setattr(Content, "schema_id", "another")
        with pytest.raises(ConfigError, match="packets have changed"):
            run(settings, job)


def _other_digest(self: Choice, *_: Any) -> None:
    self.digest = "another"


def test_a_run_that_is_cancelled_stops_and_leaves_its_files(settings: Settings, alerts: pa.Table, folder: Path) -> None:
    job = ask(settings, folder, columns=("light",))

    def stop(line: str) -> None:
        JobStore(settings.home).ask_to_cancel(job.id)

    ended = run(settings, job, stop)
    assert ended.state == CANCELLED
    assert ended.sent < 2 * ALERTS
    assert "stay" in ended.message
    assert run(settings, job).state == CANCELLED
    assert not JobStore(settings.home).cancel_asked(job.id)


def test_a_job_is_cancelled_before_it_begins_and_twice(settings: Settings, alerts: pa.Table, folder: Path) -> None:
    job = ask(settings, folder)
    assert life.cancel(settings, job.id, NOW).state == CANCELLED
    assert life.cancel(settings, job.id, NOW).state == CANCELLED
    assert not folder.exists()


def test_a_wish_to_cancel_that_has_to_wait_is_kept(settings: Settings, alerts: pa.Table, folder: Path) -> None:
    job = ask(settings, folder)
    with JobStore(settings.home).lock(job.id):
        with pytest.raises(LockedError):
            life.cancel(settings, job.id, NOW, wait_s=0)
        with pytest.raises(LockedError):
            run(settings, job)
    assert run(settings, job).state == CANCELLED


def test_a_job_that_is_done_is_left_alone(settings: Settings, alerts: pa.Table, folder: Path) -> None:
    done = run(settings, ask(settings, folder, columns=("light",)))
    assert run(settings, done) == done


def test_what_cannot_be_submitted_leaves_no_job(settings: Settings, alerts: pa.Table) -> None:
    small = settings.model_copy(update={"transfer": settings.transfer.model_copy(update={"max_gb": 1e-6})})
    with pytest.raises(ConfigError, match="more than transfer.max_gb"):
        submit.submit(small, Selection("ztf", NIGHTS), NOW)
    with pytest.raises(ConfigError, match="no science of the nights 20300101"):
        submit.submit(settings, Selection("ztf", "20300101"), NOW)
    with pytest.raises(ConfigError, match="nights are YYYYMMDD"):
        submit.submit(settings, Selection("ztf", "yesterday"), NOW)
    assert JobStore(settings.home).list() == []


def test_nights_that_may_still_grow_are_named(settings: Settings, lake: Lake, alerts: pa.Table) -> None:
    set_state(lake, FIRST, "archived", "publish", "", NOW)
    assert submit.open_nights(lake, [FIRST, SECOND]) == [SECOND]
