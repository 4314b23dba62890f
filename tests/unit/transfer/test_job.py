"""The file of a job: one name for each, whole at every moment, and one process at work."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from fink_lib.errors import ConfigError, LockedError
from fink_lib.transfer.job import RUNNING, SUBMITTED, JobStore, Plan, Selection

NOW = datetime(2026, 3, 23, 4, 5, 6, 11487, tzinfo=UTC)
SELECTION = Selection("ztf", "20240312..20240313", ("SN candidate",), "sn_candidates", ("roid = 3",), ("light",))
PLAN = Plan(7, ("20240312",), (2, 0, 1), "digest", "schema", 100)


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path)


def test_a_job_is_named_after_survey_day_and_microsecond_and_read_as_it_was_written(store: JobStore) -> None:
    job = store.create(SELECTION, PLAN, NOW)
    assert job.id == "ftransfer_ztf_2026-03-23_11487"
    assert job.topics == (job.id, f"{job.id}_schema")
    assert (job.state, job.plan.rows, job.plan.size_bytes) == (SUBMITTED, 3, 300)
    assert store.find(job.id) == job
    assert store.keep(job, NOW, state=RUNNING, sent=2) == store.find(job.id) != job


def test_two_jobs_of_one_moment_have_two_names(store: JobStore) -> None:
    names = {store.create(SELECTION, PLAN, NOW.replace(microsecond=999_999)).id for _ in range(3)}
    assert names == {f"ftransfer_ztf_2026-03-23_{number}" for number in (999_999, 0, 1)}


def test_a_job_that_writes_files_has_no_topics(store: JobStore) -> None:
    assert store.create(SELECTION, PLAN, NOW, "/data").topics == ()


def test_jobs_are_listed_newest_first_and_an_unfinished_file_is_left_out(store: JobStore, tmp_path: Path) -> None:
    old = store.create(SELECTION, PLAN, NOW)
    new = store.create(SELECTION, PLAN, NOW.replace(day=24))
    (tmp_path / "transfers" / "ztf" / "ftransfer_ztf_2026-03-25_1.json").touch()
    assert store.list() == store.list("ztf") == [new, old]
    assert store.list("lsst") == []


@pytest.mark.parametrize("name", ["ftransfer_ztf_2026-03-23_1", "fink_unknowns_ztf", "../../../etc/passwd", ""])
def test_what_is_no_job_is_refused(store: JobStore, name: str) -> None:
    with pytest.raises(ConfigError, match="no transfer"):
        store.find(name)


def test_one_process_at_a_time_works_on_a_job(store: JobStore) -> None:
    job = store.create(SELECTION, PLAN, NOW)
    with store.lock(job.id), pytest.raises(LockedError):
        store.lock(job.id).acquire()


def test_the_wish_to_cancel_stays_until_it_is_fulfilled(store: JobStore) -> None:
    job = store.create(SELECTION, PLAN, NOW)
    assert not store.cancel_asked(job.id)
    store.ask_to_cancel(job.id)
    assert JobStore(store._root.parent).cancel_asked(job.id)
    store.forget_cancel(job.id)
    assert not store.cancel_asked(job.id)


def test_the_selection_is_told_in_words() -> None:
    assert SELECTION.words == (
        "nights 20240312..20240313; columns light; class SN candidate; filter sn_candidates; where roid = 3"
    )
