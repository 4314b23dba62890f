"""The supervisor's side: see, start, drain and end the driver of one stage. Everything here may be repeated safely.

A driver is a process of its own session, so nothing that happens to Airflow (a restart, a killed worker, a signal to
its process group) reaches it. The command is ``python -m jobs.<stage> --survey <survey>`` in the project's root;
``FINK_DRIVER_COMMAND``, a JSON list of words with ``{stage}`` and ``{survey}``, puts another one in its place, for
example a wrapper that pins processors.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal

from fink_lib.config import Settings, project_root
from fink_lib.errors import EXIT_LOCKED, ConfigError, LockedError, TransientError
from fink_lib.runtime.heartbeat import (
    Desired,
    DrainRequest,
    Heartbeat,
    Identity,
    State,
    boot_clock_s,
    read_desired,
    read_drain_request,
    read_heartbeat,
    read_identity,
    write_desired,
    write_drain_request,
)
from fink_lib.runtime.lock import FileLock
from fink_lib.runtime.process import ProcessId, terminate

_JVM_GRACE_S = 5.0  # a JVM whose Python died ends by itself in about 2 s (end of its standard input)
_POLL_S = 0.1
_LOG_TAIL = 5
# Children of this process: kept until they have ended and are reaped.
_CHILDREN: list[subprocess.Popen[bytes]] = []


class Seen(StrEnum):
    """What the outside sees of a stage's driver."""

    ABSENT = "absent"  # never started here
    STARTING = "starting"
    RUNNING = "running"
    DRAINING = "draining"  # lives, and is about to end
    STALE = "stale"  # lives, but says nothing
    STALLED = "stalled"  # lives and says so, but its work does not go on
    DRAINED = "drained"  # ended well
    FAILED = "failed"  # ended, and said why
    DEAD = "dead"  # ended without a word


@dataclass(frozen=True)
class Observation:
    """One look at a stage's driver.

    Attributes
    ----------
    state : Seen
        What is seen.
    identity : Identity or None
        Its identity, or that of the last one.
    heartbeat : Heartbeat or None
        Its last heartbeat; None if there is none of this epoch.
    age_s : float
        Age of that heartbeat, seconds; of the start if there is none yet; infinite if nobody ever started.
    """

    state: Seen
    identity: Identity | None
    heartbeat: Heartbeat | None
    age_s: float

    @property
    def alive(self) -> bool:
        """Whether the driver's Python process lives."""
        return self.state in (Seen.STARTING, Seen.RUNNING, Seen.DRAINING, Seen.STALE, Seen.STALLED)

    @property
    def healthy(self) -> bool:
        """Whether it may be adopted as it is."""
        return self.state in (Seen.STARTING, Seen.RUNNING)

    @property
    def epoch(self) -> int:
        """Its epoch; 0 before the first start."""
        return self.identity.epoch if self.identity else 0

    @property
    def up_s(self) -> float:
        """Seconds from its start to now, or to its last heartbeat if it has ended."""
        if self.identity is None:
            return 0.0
        end_s = boot_clock_s() if self.alive or self.heartbeat is None else self.heartbeat.clock_s
        return max(0.0, end_s - self.identity.started_s)


def observe(settings: Settings, survey: str, stage: str) -> Observation:
    """Look at a stage's driver: a few small files and ``/proc``, no waiting."""
    # Identity first: a heartbeat read after it is at least as new, and an older epoch's one is then discarded.
    identity = read_identity(settings, survey, stage)
    if identity is None:
        return Observation(Seen.ABSENT, None, None, float("inf"))
    alive = identity.process.alive()
    heartbeat = read_heartbeat(settings, survey, stage)
    if heartbeat is not None and heartbeat.epoch != identity.epoch:
        heartbeat = None
    age_s = max(0.0, boot_clock_s() - (heartbeat.clock_s if heartbeat else identity.started_s))
    if alive:
        state = _seen_alive(settings, heartbeat, age_s)
        if state is not Seen.STALE and drain_was_asked(settings, survey, stage, identity.epoch):
            state = Seen.DRAINING  # it was told, even if it has not said so yet
        return Observation(state, identity, heartbeat, age_s)
    ends = {State.DRAINED: Seen.DRAINED, State.FAILED: Seen.FAILED}
    return Observation(ends.get(heartbeat.state, Seen.DEAD) if heartbeat else Seen.DEAD, identity, heartbeat, age_s)


def _seen_alive(settings: Settings, heartbeat: Heartbeat | None, age_s: float) -> Seen:
    limits = settings.supervision
    if age_s > limits.stale_s:
        return Seen.STALE
    if heartbeat is None:
        return Seen.STARTING
    if heartbeat.state in (State.DRAINING, State.DRAINED, State.FAILED):
        return Seen.DRAINING
    behind = heartbeat.state is State.STARTING or bool(heartbeat.lag)
    if heartbeat.busy_s > limits.stalled_s or (behind and heartbeat.idle_s > limits.stalled_s):
        return Seen.STALLED
    return Seen.STARTING if heartbeat.state is State.STARTING else Seen.RUNNING


def driver_command(survey: str, stage: str) -> list[str]:
    """Give the words that start a driver.

    Raises
    ------
    ConfigError
        If ``FINK_DRIVER_COMMAND`` is not a JSON list of words.
    """
    given = os.environ.get("FINK_DRIVER_COMMAND")
    if not given:
        return [sys.executable, "-m", f"jobs.{stage}", "--survey", survey]
    try:
        words = json.loads(given)
        return [str(word).format(stage=stage, survey=survey) for word in _list(words)]
    except (ValueError, KeyError, IndexError) as error:
        raise ConfigError(f"FINK_DRIVER_COMMAND is not a JSON list of words ({error}); correct it") from error


def _list(words: object) -> list[object]:
    if not isinstance(words, list) or not words:
        raise ValueError("not a list")
    return words


def launch(settings: Settings, survey: str, stage: str, command: Sequence[str] | None = None) -> ProcessId:
    """Start a driver and wait for its first heartbeat.

    Parameters
    ----------
    settings : Settings
        The installation.
    survey, stage : str
        Which driver.
    command : sequence of str, optional
        Another command than :func:`driver_command`.

    Returns
    -------
    ProcessId
        The driver, which says by itself that it lives.

    Raises
    ------
    LockedError
        If a driver of the stage lives, or another process is starting one.
    ConfigError
        If the driver ended at once and said that a person must change something.
    TransientError
        If it ended at once for another reason, or did not come up in ``supervision.launch_timeout_s``.
    """
    with FileLock(settings.run_dir(survey, stage) / "launch.lock"):
        before = observe(settings, survey, stage)
        if before.alive:
            raise LockedError(f"a driver of {stage} for {survey} lives already; drain it first")
        _end_jvm(before)
        child = _spawn(settings, survey, stage, list(command or driver_command(survey, stage)))
        return _first_heartbeat(settings, survey, stage, before.epoch, child)


def ensure(
    settings: Settings, survey: str, stage: str, command: Sequence[str] | None = None
) -> tuple[Observation, bool]:
    """Have exactly one healthy driver: adopt the one that lives, or clear the way and launch one.

    Returns
    -------
    tuple of Observation, bool
        The driver as it is now, and whether it was there before.

    Raises
    ------
    LockedError, ConfigError, TransientError
        As :func:`launch`.
    """
    seen = observe(settings, survey, stage)
    if seen.healthy:
        return seen, True
    if seen.alive:
        kill(settings, survey, stage, reason=f"the driver is {seen.state}")
    try:
        launch(settings, survey, stage, command)
    except LockedError:
        # Somebody else started one in between (by hand, or a second supervisor): that one is as good.
        seen = observe(settings, survey, stage)
        if seen.healthy:
            return seen, True
        raise
    return observe(settings, survey, stage), False


def request_drain(settings: Settings, survey: str, stage: str, reason: str = "") -> bool:
    """Ask the driver to end between two batches; do not wait. Return whether there was one to ask.

    Only the Python process gets the signal: the JVM shares its group, and would stop in the middle of a batch.
    """
    seen = observe(settings, survey, stage)
    if not seen.alive or seen.identity is None:
        return False
    write_drain_request(settings, survey, stage, DrainRequest(epoch=seen.epoch, reason=reason, time_s=time.time()))
    return seen.identity.process.signal(signal.SIGTERM)


def drain_was_asked(settings: Settings, survey: str, stage: str, epoch: int) -> bool:
    """Whether somebody asked the driver of this epoch to end."""
    request = read_drain_request(settings, survey, stage)
    return request is not None and request.epoch == epoch


def wait_ended(settings: Settings, survey: str, stage: str, timeout_s: float) -> bool:
    """Wait until the driver and its JVM are gone; return whether they are."""
    deadline = time.monotonic() + timeout_s
    identity = read_identity(settings, survey, stage)
    if identity is None:
        return True
    processes = [process for process in (identity.process, identity.jvm) if process]
    return all(process.wait_gone(max(0.0, deadline - time.monotonic())) for process in processes)


def kill(settings: Settings, survey: str, stage: str, drain_s: float | None = None, reason: str = "") -> None:
    """End the driver: ask to drain, then kill Python and the recorded JVM; return when both are gone.

    Parameters
    ----------
    settings : Settings
        The installation.
    survey, stage : str
        Which driver.
    drain_s : float, optional
        Time to drain, seconds; ``supervision.drain_timeout_s`` if not given, 0 to kill at once.
    reason : str
        Why, for the record.
    """
    grace_s = settings.supervision.drain_timeout_s if drain_s is None else drain_s
    seen = observe(settings, survey, stage)
    if seen.alive and seen.identity is not None:
        if grace_s > 0:
            request_drain(settings, survey, stage, reason)
            # A driver that says nothing will hardly hear: it gets a short time, so that the gap stays short.
            seen.identity.process.wait_gone(min(grace_s, 10.0) if seen.state is Seen.STALE else grace_s)
        # The JVM first would look to Python like a failure to report; Python first, and the JVM follows.
        terminate(seen.identity.process, 0.0)
    _end_jvm(observe(settings, survey, stage))
    _reap()


def _reap() -> None:
    """Collect the children of this process that have ended."""
    _CHILDREN[:] = [child for child in _CHILDREN if child.poll() is None]


def _end_jvm(seen: Observation) -> None:
    if seen.identity is None or seen.identity.jvm is None:
        return
    if not seen.identity.jvm.wait_gone(_JVM_GRACE_S):
        terminate(seen.identity.jvm, 0.0)


def desired(settings: Settings, survey: str, stage: str) -> Literal["running", "stopped"]:
    """Whether people want the stage to run."""
    return read_desired(settings, survey, stage).state


def set_desired(
    settings: Settings, survey: str, stage: str, state: Literal["running", "stopped"], reason: str = ""
) -> None:
    """Say whether the stage shall run; its supervisor acts on it."""
    write_desired(settings, survey, stage, Desired(state=state, reason=reason, time_s=time.time()))


def log_file(settings: Settings, survey: str, stage: str) -> Path:
    """Where a driver's output goes."""
    return settings.log_dir / survey / f"{stage}.log"


def _spawn(settings: Settings, survey: str, stage: str, command: list[str]) -> subprocess.Popen[bytes]:
    _reap()
    # The driver must be the same whoever starts it, so nothing of the task that does so is passed on.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "_AIRFLOW"))}
    environment["FINK_HOME"] = str(settings.home)
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", "/usr/bin:/bin")])
    environment["PYTHONUNBUFFERED"] = "1"
    log = log_file(settings, survey, stage)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        try:
            child = subprocess.Popen(
                command,
                cwd=project_root(),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                close_fds=True,
            )
        except FileNotFoundError as error:
            raise ConfigError(f"the driver's command cannot be run: {error}") from error
    _CHILDREN.append(child)
    return child


def _first_heartbeat(
    settings: Settings, survey: str, stage: str, last_epoch: int, child: subprocess.Popen[bytes]
) -> ProcessId:
    timeout_s = settings.supervision.launch_timeout_s
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        code = child.poll()
        seen = observe(settings, survey, stage)
        fresh = seen.epoch > last_epoch
        if fresh and seen.healthy and seen.heartbeat is not None and seen.identity is not None:
            return seen.identity.process
        if code is not None and not (fresh and seen.alive):
            raise _early_end(settings, survey, stage, code, seen if fresh else None)
        time.sleep(_POLL_S)
    child.kill()
    kill(settings, survey, stage, drain_s=0.0)
    raise TransientError(f"the driver of {stage} gave no heartbeat within {timeout_s:g} s; see its log")


def _early_end(settings: Settings, survey: str, stage: str, code: int, seen: Observation | None) -> Exception:
    if code == EXIT_LOCKED:
        return LockedError(f"another driver of {stage} for {survey} holds the lock")
    if seen is not None and seen.heartbeat is not None and seen.heartbeat.error:
        text = f"the driver of {stage} ended at once: {seen.heartbeat.error}"
        return ConfigError(text) if seen.heartbeat.error_kind == "config" else TransientError(text)
    lines = log_file(settings, survey, stage).read_text(errors="replace").splitlines()[-_LOG_TAIL:]
    return TransientError(f"the driver of {stage} ended at once with code {code}: {' | '.join(lines)}")
