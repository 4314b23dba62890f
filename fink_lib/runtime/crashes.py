"""The crash budget of a stage: how often a supervisor may start it again before it asks for a person.

The record is ``run/<survey>/<stage>/restarts.jsonl``: one line for each end that nobody asked for, and one for each
time a person said that the count begins anew.
"""

from __future__ import annotations

import time
from pathlib import Path

from fink_lib.config import Settings
from fink_lib.runtime.files import append_json_line, read_json_lines


def record_crash(
    settings: Settings, survey: str, stage: str, epoch: int | None, cause: str, kind: str = "fault"
) -> None:
    """Note an end that nobody asked for, once for each epoch.

    Parameters
    ----------
    settings : Settings
        The installation.
    survey, stage : str
        Whose driver.
    epoch : int or None
        Which start of it; None if it ended before it had one, then each call counts.
    cause : str
        What happened, for people.
    kind : str
        As :func:`fink_lib.runtime.driver.error_kind`; ``transient`` is noted but does not count.
    """
    path = _restarts(settings, survey, stage)
    known = epoch is not None and any(
        row.get("event") == "crash" and row.get("epoch") == epoch for row in read_json_lines(path)
    )
    if not known:
        append_json_line(path, {"event": "crash", "epoch": epoch, "cause": cause, "kind": kind, "time_s": time.time()})


def forgive_crashes(settings: Settings, survey: str, stage: str) -> None:
    """Start the crash budget anew: a person has looked at it."""
    append_json_line(_restarts(settings, survey, stage), {"event": "forgiven", "time_s": time.time()})


def counted(settings: Settings, survey: str, stage: str) -> list[str]:
    """Causes of the crashes that count: within ``supervision.crash_window_s``, and after the last forgiving.

    Services that are away (kind ``transient``) do not count: waiting for them is what retries are for.
    """
    since_s = time.time() - settings.supervision.crash_window_s
    causes: list[str] = []
    for row in read_json_lines(_restarts(settings, survey, stage)):
        if row.get("event") == "forgiven":
            causes.clear()
        elif row.get("kind") != "transient" and float(row.get("time_s", 0.0)) >= since_s:
            causes.append(str(row.get("cause", "")))
    return causes


def budget_spent(settings: Settings, survey: str, stage: str) -> bool:
    """Whether the stage crashed so often lately that only a person can help."""
    return len(counted(settings, survey, stage)) >= settings.supervision.crash_budget


def _restarts(settings: Settings, survey: str, stage: str) -> Path:
    return settings.run_dir(survey, stage) / "restarts.jsonl"
