"""Work that takes longer than a request: kept in the store, done by whichever process of the API is free.

A process that takes a job holds it by a lease that it renews. If it is killed the lease runs out, and another process,
or the same one when it is there again, begins the job anew.
"""

from __future__ import annotations

import json
import logging
import math
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fink_lib.community.refusals import RefusedError
from fink_lib.community.store import Row, Store, text_of
from fink_lib.errors import FinkError

QUEUED, RUNNING, DONE, FAILED = "queued", "running", "done", "failed"
LEASE_S = 30.0
BEAT_S = 5.0
LOOK_S = 2.0
STOP_S = 10.0
CHORE_S = 60.0
MOST_ATTEMPTS = 3
MOST_WAITING = 5
"""Jobs of one owner that are not done."""

log = logging.getLogger(__name__)

Work = Callable[[dict[str, Any]], dict[str, Any]]
"""Takes what was asked for and gives the result, both plain values."""


@dataclass(frozen=True)
class Job:
    """One job.

    Parameters
    ----------
    id, kind, owner : str
        Which, what, whose.
    asked : dict
        What was asked for.
    state : str
        ``queued``, ``running``, ``done`` or ``failed``.
    message : str
        One sentence, if it failed.
    result : dict, optional
        What came out.
    created, changed : str
        Times (ISO, UTC).
    attempts : int
        How often it was begun.
    """

    id: str
    kind: str
    owner: str
    asked: dict[str, Any]
    state: str
    message: str
    result: dict[str, Any] | None
    created: str
    changed: str
    attempts: int


class JobQueue:
    """The jobs of an installation.

    Parameters
    ----------
    store : Store
        Keeps them.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def submit(self, kind: str, owner: str, asked: dict[str, Any], now: datetime) -> Job:
        """Keep a new job.

        Raises
        ------
        RefusedError
            If the owner has too many that are not done.
        """
        job_id = f"{kind}_{secrets.token_hex(8)}"
        with self._store.transaction() as change:
            row = change.row(
                "SELECT COUNT(*) AS n FROM jobs WHERE owner = ? AND state IN (?, ?)", owner, QUEUED, RUNNING
            )
            if row is not None and row["n"] >= MOST_WAITING:
                raise RefusedError("conflict", f"{MOST_WAITING} of your jobs are not done; wait for one of them")
            change.add(
                "jobs", id=job_id, kind=kind, owner=owner, asked=json.dumps(asked), state=QUEUED, message="",
                result=None, created=text_of(now), changed=text_of(now), attempts=0, lease=0.0,
            )  # fmt: skip
        return self.find(job_id)

    def find(self, job_id: str) -> Job:
        """Give a job.

        Raises
        ------
        RefusedError
            If there is none of this id.
        """
        row = self._store.row("SELECT * FROM jobs WHERE id = ?", job_id)
        if row is None:
            raise RefusedError("not-found", f"no job is called {job_id[:80]}", "id")
        return _job(row)

    def claim(self, now: datetime) -> Job | None:
        """Take the oldest job that nobody works on; None if there is none."""
        now_s = now.timestamp()
        with self._store.transaction() as change:
            change.run(
                "UPDATE jobs SET state = ?, message = ?, changed = ? WHERE state = ? AND lease < ? AND attempts >= ?",
                FAILED, f"it was interrupted {MOST_ATTEMPTS} times", text_of(now), RUNNING, now_s, MOST_ATTEMPTS,
            )  # fmt: skip
            row = change.row(
                "SELECT * FROM jobs WHERE state = ? OR (state = ? AND lease < ?) ORDER BY created LIMIT 1",
                QUEUED, RUNNING, now_s,
            )  # fmt: skip
            if row is None:
                return None
            change.run(
                "UPDATE jobs SET state = ?, attempts = attempts + 1, lease = ?, changed = ? WHERE id = ?",
                RUNNING, now_s + LEASE_S, text_of(now), row["id"],
            )  # fmt: skip
        return self.find(row["id"])

    def renew(self, job: Job, now: datetime) -> None:
        """Go on holding a job."""
        self._change(job, now, state=RUNNING, lease=now.timestamp() + LEASE_S)

    def finish(self, job: Job, now: datetime, result: dict[str, Any]) -> None:
        """Keep what came out of a job."""
        self._change(job, now, state=DONE, result=json.dumps(result, allow_nan=False))

    def fail(self, job: Job, now: datetime, message: str) -> None:
        """Keep that nothing came out of a job, and why."""
        self._change(job, now, state=FAILED, message=message)

    def _change(self, job: Job, now: datetime, **columns: object) -> None:
        names = ", ".join(f"{name} = ?" for name in columns)
        with self._store.transaction() as change:
            # whoever lost the job to another process does not overwrite what that one found
            change.run(
                f"UPDATE jobs SET {names}, changed = ? WHERE id = ? AND state = ? AND attempts = ?",
                *columns.values(), text_of(now), job.id, RUNNING, job.attempts,
            )  # fmt: skip


class JobRunner:
    """One thread that does jobs, one after the other.

    Parameters
    ----------
    queue : JobQueue
        Where they are.
    works : mapping of str to callable
        How each kind is done.
    chore : callable, optional
        Done at the start, whenever something was written, and every :data:`CHORE_S` seconds after it failed.
    """

    def __init__(self, queue: JobQueue, works: Mapping[str, Work], chore: Callable[[], object] | None = None) -> None:
        self._queue = queue
        self._works = works
        self._chore = chore
        self._chore_due_s = 0.0
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin to look for jobs."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="jobs", daemon=True)
                self._thread.start()

    def wake(self) -> None:
        """Look at once: there is a new one."""
        self._wake.set()

    def stop(self) -> None:
        """End with the present job, or without it if that takes long: somebody else will begin it anew."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(STOP_S)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                job = self._queue.claim(datetime.now(UTC))
            except FinkError as error:
                log.warning("no job can be taken: %s", error)
                job = None
            if job is not None:
                self._do(job)
                continue
            self._do_chore()
            if self._wake.wait(LOOK_S):
                self._wake.clear()
                self._chore_due_s = 0.0

    def _do_chore(self) -> None:
        if self._chore is None or time.monotonic() < self._chore_due_s:
            return
        try:
            self._chore()
            self._chore_due_s = math.inf
        except FinkError as error:
            self._chore_due_s = time.monotonic() + CHORE_S
            log.info("tried again in %.0f s: %s", CHORE_S, error)
        except Exception:
            self._chore_due_s = time.monotonic() + CHORE_S
            log.exception("a chore failed")

    def _do(self, job: Job) -> None:
        began_s = time.monotonic()
        try:
            with self._held(job):
                result = self._works[job.kind](job.asked)
            self._queue.finish(job, datetime.now(UTC), result)
            log.info("job %s of %s is done after %.1f s", job.id, job.owner, time.monotonic() - began_s)
        except FinkError as error:
            self._queue.fail(job, datetime.now(UTC), str(error))
        except Exception:
            log.exception("job %s failed", job.id)
            self._queue.fail(job, datetime.now(UTC), "the broker made an error; it is in its log")

    @contextmanager
    def _held(self, job: Job) -> Iterator[None]:
        over = threading.Event()

        def beat() -> None:
            while not over.wait(BEAT_S):
                try:
                    self._queue.renew(job, datetime.now(UTC))
                except FinkError as error:
                    log.warning("job %s: %s", job.id, error)

        thread = threading.Thread(target=beat, name="lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def _job(row: Row) -> Job:
    return Job(
        row["id"], row["kind"], row["owner"], json.loads(row["asked"]), row["state"], row["message"],
        None if row["result"] is None else json.loads(row["result"]), row["created"], row["changed"], row["attempts"],
    )  # fmt: skip
