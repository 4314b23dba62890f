"""When the topics of a transfer are deleted: whole, after a week at the earliest, and never under a run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from fink_lib.config import Settings, TransferSettings
from fink_lib.transfer import life, topics
from fink_lib.transfer.job import CANCELLED, DONE, FAILED, RUNNING, SUBMITTED, Job, JobStore, Plan, Selection

ENDED = datetime(2026, 3, 1, tzinfo=UTC)
WEEK = timedelta(days=7)
HOUR = timedelta(hours=1)


@pytest.fixture
def deleted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note the topics that are deleted, in the place of a broker."""
    names: list[str] = []

    def delete(kafka: Any, wanted: Sequence[str]) -> None:
        names.extend(wanted)

    monkeypatch.setattr(topics, "delete", delete)
    return names


def make(settings: Settings, state: str, parquet: str = "") -> Job:
    """Make a job that came to a state."""
    store = JobStore(settings.home)
    job = store.create(Selection("ztf", "20240312"), Plan(1, (), (0,), "", "", 0), ENDED, parquet)
    return store.keep(job, ENDED, state=state, started=ENDED.isoformat())


@pytest.mark.parametrize("state", [DONE, FAILED, RUNNING])
def test_topics_live_a_week_and_are_then_deleted_once(settings: Settings, deleted: list[str], state: str) -> None:
    job = make(settings, state)
    assert life.expire(settings, ENDED + WEEK - HOUR) == []
    (gone,) = life.expire(settings, ENDED + WEEK + HOUR)
    assert deleted == list(job.topics)
    assert gone.topics_gone
    assert gone.state == (FAILED if state == RUNNING else state)
    assert life.expire(settings, ENDED + 2 * WEEK) == []


def test_a_run_that_is_under_way_keeps_its_topics(settings: Settings, deleted: list[str]) -> None:
    job = make(settings, RUNNING)
    with JobStore(settings.home).lock(job.id):
        assert life.expire(settings, ENDED + 5 * WEEK) == []
    assert deleted == []


@pytest.mark.parametrize(("state", "parquet"), [(SUBMITTED, ""), (CANCELLED, ""), (DONE, "/data")])
def test_what_has_no_topics_is_left_alone(settings: Settings, deleted: list[str], state: str, parquet: str) -> None:
    make(settings, state, parquet)
    assert life.expire(settings, ENDED + 5 * WEEK) == []
    assert deleted == []


def test_what_somebody_wanted_cancelled_is_finished(settings: Settings, deleted: list[str]) -> None:
    job = make(settings, RUNNING)
    JobStore(settings.home).ask_to_cancel(job.id)
    (gone,) = life.expire(settings, ENDED + HOUR)
    assert (gone.state, deleted) == (CANCELLED, list(job.topics))


def test_a_week_is_promised() -> None:
    with pytest.raises(ValidationError):
        TransferSettings(life_days=6)
