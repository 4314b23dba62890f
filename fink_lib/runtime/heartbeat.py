"""What a driver tells about itself, and what people want of it: the files in ``run/<survey>/<stage>``.

=================  ==================  ===============================================================================
file               written by          holds
=================  ==================  ===============================================================================
``identity.json``  the driver          who it is (:class:`Identity`); stays after its end
``heartbeat.json`` the driver          how it is (:class:`Heartbeat`); its last words stay after its end
``desired.json``   people, operations  whether the stage shall run (:class:`Desired`)
``drain.json``     whoever asks        the last request to end between two batches (:class:`DrainRequest`)
``restarts.jsonl`` the supervisor      one line for each end that nobody asked for
=================  ==================  ===============================================================================

Ages are computed on the machine's boot clock, so that a corrected wall clock neither kills a driver nor hides a dead
one. Unknown fields are ignored: old and new code watch each other during an upgrade.
"""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from fink_lib.config import Settings
from fink_lib.runtime.files import read_json, write_json
from fink_lib.runtime.process import ProcessId


def boot_clock_s() -> float:
    """Seconds since this machine booted: the same for all of its processes, and never set back."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class State(StrEnum):
    """What a driver says of itself."""

    STARTING = "starting"
    RUNNING = "running"
    DRAINING = "draining"
    DRAINED = "drained"
    FAILED = "failed"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Identity(_Record):
    """Who a driver is.

    Attributes
    ----------
    process, jvm : ProcessId
        The Python process, and its JVM as soon as there is one.
    epoch : int
        Rises by one at each start; rows of the ledger carry it.
    started_s : float
        Start, seconds of the boot clock.
    checkpoint, generation : str, int
        Which checkpoint it runs on; empty and 0 until known.
    """

    process: ProcessId
    jvm: ProcessId | None = None
    stage: str
    survey: str
    code_version: str = "unknown"
    checkpoint: str = ""
    generation: int = 0
    epoch: int
    started_s: float


class Heartbeat(_Record):
    """How a driver is.

    Attributes
    ----------
    time_s, last_progress_s : float
        Wall clock, Unix seconds, for people: this heartbeat, and the last finished batch.
    clock_s : float
        This heartbeat on the boot clock; ages are computed from it.
    idle_s : float
        Seconds since the last finished batch (since the start before the first one).
    busy_s : float
        Seconds that the current batch has been running; 0 between batches.
    batch : str
        Key of the last finished batch.
    rows_in, rows_s, lag, trigger_ms
        Of the last batch: rows read, rows per second, rows still unread, milliseconds.
    error, error_kind : str
        One line, and ``config``, ``transient``, ``data`` or ``fault``, when the state is failed.
    """

    state: State
    epoch: int
    time_s: float
    clock_s: float
    batch: str = ""
    rows_in: int = 0
    rows_s: float = 0.0
    lag: int | None = None
    trigger_ms: int = 0
    last_progress_s: float | None = None
    idle_s: float = 0.0
    busy_s: float = 0.0
    error: str = ""
    error_kind: str = ""


class Desired(_Record):
    """What people want of a stage; a stage nobody has spoken of shall run."""

    state: Literal["running", "stopped"] = "running"
    reason: str = ""
    time_s: float = 0.0


class DrainRequest(_Record):
    """The last request to end: an end of this epoch is then no crash."""

    epoch: int
    reason: str = ""
    time_s: float = 0.0


_R = TypeVar("_R", bound=_Record)


def _read(kind: type[_R], path: Path) -> _R | None:
    values = read_json(path)
    if values is None:
        return None
    try:
        return kind.model_validate(values)
    except ValidationError:
        # Written by another version of the code, or by hand: as good as absent, the next writer replaces it.
        return None


def _plain(record: _Record) -> dict[str, Any]:
    return record.model_dump(mode="json")


def read_identity(settings: Settings, survey: str, stage: str) -> Identity | None:
    """Identity of the stage's last driver, living or not."""
    return _read(Identity, settings.run_dir(survey, stage) / "identity.json")


def write_identity(settings: Settings, identity: Identity) -> None:
    """Replace the identity; only the driver that holds the lock does."""
    write_json(settings.run_dir(identity.survey, identity.stage) / "identity.json", _plain(identity))


def read_heartbeat(settings: Settings, survey: str, stage: str) -> Heartbeat | None:
    """Last heartbeat of the stage's last driver."""
    return _read(Heartbeat, settings.run_dir(survey, stage) / "heartbeat.json")


def write_heartbeat(settings: Settings, survey: str, stage: str, heartbeat: Heartbeat) -> None:
    """Replace the heartbeat; only the driver that holds the lock does."""
    final = heartbeat.state in (State.DRAINED, State.FAILED)
    write_json(settings.run_dir(survey, stage) / "heartbeat.json", _plain(heartbeat), durable=final)


def read_desired(settings: Settings, survey: str, stage: str) -> Desired:
    """Read what people want of the stage."""
    return _read(Desired, settings.run_dir(survey, stage) / "desired.json") or Desired()


def write_desired(settings: Settings, survey: str, stage: str, desired: Desired) -> None:
    """Replace what people want of the stage."""
    write_json(settings.run_dir(survey, stage) / "desired.json", _plain(desired))


def read_drain_request(settings: Settings, survey: str, stage: str) -> DrainRequest | None:
    """Read the last request to end."""
    return _read(DrainRequest, settings.run_dir(survey, stage) / "drain.json")


def write_drain_request(settings: Settings, survey: str, stage: str, request: DrainRequest) -> None:
    """Replace the last request to end."""
    write_json(settings.run_dir(survey, stage) / "drain.json", _plain(request))
