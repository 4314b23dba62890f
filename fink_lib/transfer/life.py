"""The end of a job: cancelled by a person, or its topics deleted when their life is over."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from fink_lib.errors import LockedError
from fink_lib.transfer import topics
from fink_lib.transfer.job import CANCELLED, FAILED, RUNNING, SUBMITTED, Job, JobStore

if TYPE_CHECKING:
    from fink_lib.config import Settings

CANCEL_WAIT_S = 60.0


def cancel(settings: Settings, job_id: str, now: datetime, wait_s: float = CANCEL_WAIT_S) -> Job:
    """Stop a job and delete its topics; files that it has written stay.

    A run that is under way stops by itself within the time of a few hundred rows, and deletes the topics then.

    Parameters
    ----------
    settings : Settings
        The installation.
    job_id : str
        Which job, in whatever state.
    now : datetime
        The present time.
    wait_s : float
        How long to wait for a run that is under way, seconds.

    Raises
    ------
    LockedError
        If it has not stopped by then; it still will.
    TransientError
        If Kafka is away; the topics are deleted by the daily task, or by the same call later.
    """
    store = JobStore(settings.home)
    if store.find(job_id).state == CANCELLED:
        return store.find(job_id)
    store.ask_to_cancel(job_id)
    with store.lock(job_id, wait_s):
        job = store.find(job_id)
        return job if job.state == CANCELLED else withdraw(settings, store, job, now)


def withdraw(settings: Settings, store: JobStore, job: Job, now: datetime) -> Job:
    """Delete the topics of a job and note it as cancelled; the caller holds its lock."""
    topics.delete(settings.kafka, job.topics if job.started else ())
    words = f"cancelled; the files in {job.parquet} stay" if job.parquet else "cancelled; its topics are deleted"
    gone = now.isoformat(timespec="seconds") if job.topics else ""
    job = store.keep(job, now, state=CANCELLED, message=words, topics_gone=gone)
    store.forget_cancel(job.id)
    return job


def expire(settings: Settings, now: datetime) -> list[Job]:
    """Delete the topics whose life is over, and finish what somebody wanted cancelled.

    A topic lives ``transfer.life_days`` days after the last change of its job. A run that is under way keeps its job;
    one that died so long ago is given up.

    Returns
    -------
    list of Job
        Those whose topics were deleted.

    Raises
    ------
    TransientError
        If Kafka is away.
    """
    store = JobStore(settings.home)
    gone = []
    for known in store.list():
        try:
            with store.lock(known.id):
                job = store.find(known.id)
                if store.cancel_asked(job.id):
                    gone.append(withdraw(settings, store, job, now))
                elif _is_over(settings, job, now):
                    topics.delete(settings.kafka, job.topics)
                    if job.state == RUNNING:
                        job = store.keep(
                            job, now, state=FAILED, message="it was interrupted, and nobody went on with it"
                        )
                    gone.append(store.keep(job, now, topics_gone=now.isoformat(timespec="seconds")))
        except LockedError:
            continue
    return gone


def _is_over(settings: Settings, job: Job, now: datetime) -> bool:
    if not job.topics or job.topics_gone or job.state in (SUBMITTED, CANCELLED):
        return False
    return now - datetime.fromisoformat(job.changed) > timedelta(days=settings.transfer.life_days)
