"""Keep one service alive: start it, see that it answers, start it again when it has ended."""

from __future__ import annotations

import threading
import time
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from fink_lib.errors import ConfigError, FinkError, TransientError
from fink_lib.runtime.services.base import Record, Service, reap_children

POLL_S = 0.3
ASK_S = 5.0
# A service that lives but does not answer may be busy (a paused broker, a long collection): patience before a restart.
PATIENCE_S = 120.0
FORGIVE_S = 30.0
BACKOFF_S = (0.0, 1.0, 2.0, 3.0, 5.0, 10.0)


class State(StrEnum):
    """What the supervisor knows about a service."""

    WAITING = "waiting"  # for a service that it needs
    STARTING = "starting"
    READY = "ready"
    DEGRADED = "degraded"  # lives, but does not answer
    FAILED = "failed"  # does not live; the message says why, the next try follows
    BLOCKED = "blocked"  # cannot start until a person has changed something
    STOPPED = "stopped"


@dataclass
class Health:
    """One service at one moment.

    Attributes
    ----------
    state : State
        What is known.
    message : str
        Why it is not ready, one sentence.
    pid : int or None
        Its first process.
    started_s, ready_s : float or None
        Start of the process and first right answer, Unix seconds.
    since_s : float
        Last change of state or message, Unix seconds.
    restarts, crashes : int
        Ends that nobody asked for since the supervisor started, and those since it last ran well for a while.
    """

    state: State = State.WAITING
    message: str = ""
    pid: int | None = None
    started_s: float | None = None
    ready_s: float | None = None
    since_s: float = 0.0
    restarts: int = 0
    crashes: int = 0

    def turn(self, state: State, message: str = "") -> None:
        """Note a state."""
        if (state, message) != (self.state, self.message):
            self.state, self.message, self.since_s = state, message, time.time()

    def to_json(self) -> dict[str, Any]:
        """Plain values for the state file."""
        return asdict(self)


class Keeper(threading.Thread):
    """A thread that keeps one service; the supervisor has one for each.

    Parameters
    ----------
    service : Service
        Which one.
    healths : dict
        Health of each service by name: this thread writes its own and reads those that it needs.
    """

    def __init__(self, service: Service, healths: dict[str, Health]) -> None:
        super().__init__(name=service.name, daemon=True)
        self.service = service
        self.healths = healths
        self.health = healths.setdefault(service.name, Health())
        self.stop_asked = threading.Event()
        self.hurry = threading.Event()

    def leave(self) -> None:
        """Stop keeping; the service itself lives on."""
        self.stop_asked.set()
        self.hurry.set()
        self.service.cancelled.set()

    def run(self) -> None:
        """Keep the service until asked to leave."""
        while not self.stop_asked.is_set():
            try:
                record = self._have()
                if record is not None:
                    self._watch(record)
            except ConfigError as error:
                self._failed(str(error), State.BLOCKED)
            except FinkError as error:
                self._failed(str(error))
            except OSError as error:
                self._failed(f"{self.service.name} could not be started: {error}")
            self._pause()

    def _have(self) -> Record | None:
        """Adopt the living process, or start one and wait until it answers; None if asked to leave meanwhile."""
        record = self.service.record()
        if record is None or not record.process.alive():
            while missing := [name for name in self.service.needs if not self._is_ready(name)]:
                self.health.turn(State.WAITING, f"waits for {', '.join(missing)}")
                if self.stop_asked.wait(POLL_S):
                    return None
            self.health.turn(State.STARTING)
            self.health.pid = self.health.ready_s = None
            self.service.prepare()
            if self.stop_asked.is_set():
                return None
            record = self._spawn()
        self.health.pid, self.health.started_s = record.process.pid, record.started_s
        return record if self._becomes_ready(record) else None

    def _spawn(self) -> Record:
        child = self.service.spawn()
        deadline = time.monotonic() + 10.0
        while time.monotonic() < deadline:
            record = self.service.record()
            if record is not None and record.process.pid == child.pid:
                return record
            if child.poll() is not None:
                break
            time.sleep(0.02)
        raise TransientError(f"{self.service.name} did not start: {self.service.last_words()}")

    def _becomes_ready(self, record: Record) -> bool:
        deadline = time.monotonic() + self.service.start_timeout_s
        while not self.service.ready(record.started_s):
            if self.stop_asked.wait(POLL_S):
                return False
            reap_children()
            if not record.process.alive():
                self.service.end_leftovers()
                raise TransientError(
                    f"{self.service.name} ended at once: {self.service.last_words()}; see {self.service.log_file}"
                )
            if time.monotonic() > deadline:
                self.service.stop(0.0)
                raise TransientError(
                    f"{self.service.name} did not answer within {self.service.start_timeout_s:g} s after its start and "
                    f"was ended; see {self.service.log_file}"
                )
        self.service.settled()
        self.health.turn(State.READY)
        self.health.ready_s = time.time()
        return True

    def _watch(self, record: Record) -> None:
        """Return when the service has ended, or when asked to leave."""
        answered = asked = time.monotonic()
        while not self.stop_asked.wait(POLL_S):
            reap_children()
            if not record.process.alive():
                self.health.restarts += 1
                self._failed(f"{self.service.name} ended: {self.service.last_words()}")
                return
            now = time.monotonic()
            if now - asked < ASK_S:
                continue
            asked = now
            answer = self.service.ready(record.started_s)
            if answer is not False:
                answered = time.monotonic()
                self.health.turn(State.READY)
            elif time.monotonic() - answered > PATIENCE_S:
                self.service.stop(0.0)
                self.health.restarts += 1
                self._failed(f"{self.service.name} did not answer for {PATIENCE_S:g} s and was ended")
                return
            else:
                self.health.turn(State.DEGRADED, f"{self.service.name} lives but gives no right answer")

    def _is_ready(self, name: str) -> bool:
        return name in self.healths and self.healths[name].state is State.READY

    def _failed(self, message: str, state: State = State.FAILED) -> None:
        if self.health.ready_s is not None and time.time() - self.health.ready_s > FORGIVE_S:
            self.health.crashes = 0
        self.health.crashes += 1
        self.health.turn(state, message)
        self.health.pid = self.health.ready_s = None

    def _pause(self) -> None:
        """Wait before the next try; no wait after the first crash, and none when somebody asks for it now."""
        if self.health.state in (State.FAILED, State.BLOCKED):
            self.hurry.wait(BACKOFF_S[min(self.health.crashes, len(BACKOFF_S)) - 1])
            self.hurry.clear()
