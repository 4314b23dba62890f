"""The driver's side of supervision: lock, identity, heartbeat, drain.

A job wraps its whole life into one session::

    with DriverSession(settings, "ztf", "raw2science") as session:
        spark = build_session(...)
        session.set_jvm(jvm_pid)
        while query.isActive and not session.draining.is_set():
            ...

1. The lock comes first, before any Spark session: the loser of a double start touches nothing and exits 75.
2. A JVM that outlived its driver is ended before anything is written.
3. The epoch rises, the identity is written, and a thread starts to say that the process lives.
4. SIGTERM sets :attr:`DriverSession.draining`; the job ends between two batches.
5. The last heartbeat says ``drained``, or ``failed`` with the cause in one line.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from types import FrameType, TracebackType
from typing import Any, Self

from fink_lib.config import Settings, project_root
from fink_lib.errors import ConfigError, DataError, TransientError
from fink_lib.runtime.heartbeat import (
    Heartbeat,
    Identity,
    State,
    boot_clock_s,
    read_heartbeat,
    read_identity,
    write_heartbeat,
    write_identity,
)
from fink_lib.runtime.lock import DriverLock, FileLock
from fink_lib.runtime.process import ProcessId, terminate

_JVM_GRACE_S = 5.0  # a JVM whose Python died ends by itself in about 2 s (end of its standard input)
_ERROR_LENGTH = 500


def error_kind(error: BaseException) -> str:
    """Class of an error as the supervisor needs it: ``config``, ``transient``, ``data`` or ``fault``."""
    if isinstance(error, ConfigError):
        return "config"
    if isinstance(error, TransientError):
        return "transient"
    if isinstance(error, DataError):
        return "data"
    return "fault"


def code_version() -> str:
    """Version of the running code: ``$FINK_CODE_VERSION`` (images set it), else the commit, else ``unknown``."""
    given = os.environ.get("FINK_CODE_VERSION")
    if given:
        return given
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"], cwd=project_root(), capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return answer.stdout.strip() or "unknown"


class DriverSession:
    """The life of one driver, as a context manager.

    Parameters
    ----------
    settings : Settings
        The installation.
    survey, stage : str
        Whose driver this is.
    lock : DriverLock, optional
        Another kind of lock than a file in the run folder.

    Attributes
    ----------
    draining : threading.Event
        Set when the driver shall end between two batches.

    Raises
    ------
    LockedError
        On entry, if another driver of the stage lives.
    """

    def __init__(self, settings: Settings, survey: str, stage: str, lock: DriverLock | None = None) -> None:
        self.settings = settings
        self.survey = survey
        self.stage = stage
        self.draining = threading.Event()
        self._lock = lock or FileLock(settings.run_dir(survey, stage) / "driver.lock")
        self._guard = threading.RLock()
        self._ended = threading.Event()
        self._identity: Identity | None = None
        self._fields: dict[str, Any] = {}
        self._state = State.STARTING
        self._progress_clock_s = 0.0
        self._busy_clock_s: float | None = None
        self._error: BaseException | None = None
        self._old_handler: Any = None

    @property
    def identity(self) -> Identity:
        """Who this driver is; only inside the ``with`` block."""
        if self._identity is None:
            raise RuntimeError("a driver has an identity only inside its session")
        return self._identity

    @property
    def epoch(self) -> int:
        """Number of this start; rises by one each time the stage is started."""
        return self.identity.epoch

    def __enter__(self) -> Self:
        self._lock.acquire()
        try:
            self._begin()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and not (isinstance(error, SystemExit) and error.code in (None, 0)):
            self.fail(error)
        self._ended.set()
        self._thread.join()
        if self._error is None:
            self._state = State.DRAINED
        self.beat()
        if self._old_handler is not None:
            signal.signal(signal.SIGTERM, self._old_handler)
        self._lock.release()

    def set_jvm(self, pid: int) -> None:
        """Record the JVM, so that the supervisor can end it too."""
        self._identify(jvm=ProcessId.of(pid))

    def set_checkpoint(self, checkpoint: str, generation: int) -> None:
        """Record which checkpoint this driver runs on."""
        self._identify(checkpoint=checkpoint, generation=generation)

    def running(self) -> None:
        """Say that the start is over: the stream is up, even if nothing has arrived yet."""
        with self._guard:
            if self._state is State.STARTING:
                self._state = State.RUNNING
            self._progress_clock_s = boot_clock_s()
        self.beat()

    def working(self) -> None:
        """Say that a batch begins; a batch that takes longer than ``supervision.stalled_s`` is a stall."""
        with self._guard:
            self._busy_clock_s = boot_clock_s()

    def lagging(self, lag: int | None) -> None:
        """Say how much is unread; unlike :meth:`progress` it does not count as work done."""
        with self._guard:
            self._fields["lag"] = lag

    def progress(self, *, batch: str, rows_in: int, rows_s: float, lag: int | None = None, trigger_ms: int = 0) -> None:
        """Say that a batch is done.

        Parameters
        ----------
        batch : str
            Its key.
        rows_in : int
            Rows read.
        rows_s : float
            Rows per second.
        lag : int, optional
            Rows not yet read; None keeps what :meth:`lagging` said.
        trigger_ms : int
            How long the batch took, milliseconds.
        """
        with self._guard:
            if self._state is State.STARTING:
                self._state = State.RUNNING
            self._progress_clock_s = boot_clock_s()
            self._busy_clock_s = None
            self._fields = {
                "batch": batch,
                "rows_in": rows_in,
                "rows_s": rows_s,
                "lag": self._fields.get("lag") if lag is None else lag,
                "trigger_ms": trigger_ms,
                "last_progress_s": time.time(),
            }
        self.beat()

    def fail(self, error: BaseException) -> None:
        """Say that the driver ends because of an error; the first error counts."""
        with self._guard:
            if self._error is None:
                self._error = error
                self._state = State.FAILED
        self.beat()

    def drain(self) -> None:
        """End between two batches; the same as SIGTERM from outside."""
        self.draining.set()

    def beat(self) -> None:
        """Write the heartbeat now; the liveness thread does so each ``supervision.heartbeat_s`` as well."""
        with self._guard:
            now = boot_clock_s()
            state = self._state
            if self.draining.is_set() and state in (State.STARTING, State.RUNNING):
                state = State.DRAINING
            error = self._error
            heartbeat = Heartbeat(
                state=state,
                epoch=self.epoch,
                time_s=time.time(),
                clock_s=now,
                idle_s=now - self._progress_clock_s,
                busy_s=0.0 if self._busy_clock_s is None else now - self._busy_clock_s,
                error="" if error is None else _one_line(error),
                error_kind="" if error is None else error_kind(error),
                **self._fields,
            )
            try:
                write_heartbeat(self.settings, self.survey, self.stage, heartbeat)
            except OSError as problem:
                # A full disk stops the sinks by itself; the heartbeat must be able to go on when it is freed.
                print(f"heartbeat of {self.stage} not written: {problem}", file=sys.stderr, flush=True)

    def _begin(self) -> None:
        old = read_identity(self.settings, self.survey, self.stage)
        if old is not None and old.jvm is not None and not old.jvm.wait_gone(_JVM_GRACE_S):
            terminate(old.jvm, 0.0)
        last = read_heartbeat(self.settings, self.survey, self.stage)
        epoch = 1 + max(old.epoch if old else 0, last.epoch if last else 0)
        self._progress_clock_s = boot_clock_s()
        self._identity = Identity(
            process=ProcessId.current(),
            stage=self.stage,
            survey=self.survey,
            code_version=code_version(),
            epoch=epoch,
            started_s=self._progress_clock_s,
        )
        write_identity(self.settings, self._identity)
        if threading.current_thread() is threading.main_thread():
            self._old_handler = signal.signal(signal.SIGTERM, self._on_term)
        self.beat()
        self._thread = threading.Thread(target=self._live, name="heartbeat", daemon=True)
        self._thread.start()

    def _on_term(self, number: int, frame: FrameType | None) -> None:
        self.draining.set()

    def _live(self) -> None:
        while not self._ended.wait(self.settings.supervision.heartbeat_s):
            self.beat()

    def _identify(self, **fields: Any) -> None:
        with self._guard:
            self._identity = self.identity.model_copy(update=fields)
            write_identity(self.settings, self._identity)


def _one_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:_ERROR_LENGTH]
