"""What the triggerer does for the streams: watch a driver, or wait until people want one.

A trigger keeps nothing that a restart of the triggerer could lose: all it knows comes from its arguments and from the
files in the stage's run folder.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from fink_lib.config import Settings, load_settings
from fink_lib.runtime import launcher
from fink_lib.runtime.launcher import Observation, Seen

_ENDS = {Seen.ABSENT: "dead", Seen.DEAD: "dead", Seen.FAILED: "failed", Seen.DRAINED: "drained"}
_HANGS = {Seen.STALE: "stalled", Seen.STALLED: "stalled"}


class _StageTrigger(BaseTrigger):
    """Something to wait for at one stage; ``since_s`` (Unix seconds) is when the waiting began."""

    def __init__(self, survey: str, stage: str, home: str, since_s: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow gives its triggers no types
        self.survey = survey
        self.stage = stage
        self.home = home
        self.since_s = since_s

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Give import path and arguments, from which any triggerer can make it again."""
        arguments = {"survey": self.survey, "stage": self.stage, "home": self.home, "since_s": self.since_s}
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments


class DriverTrigger(_StageTrigger):
    """Watch a driver until something is to be done about it.

    Its one event has ``kind``: ``dead``, ``failed``, ``stalled``, ``drained`` or ``rotate``, and ``epoch``, ``up_s``,
    ``error``, ``error_kind`` of the driver.
    """

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look each ``supervision.poll_s``, tell each ``supervision.report_s``."""
        settings = load_settings(self.home)
        next_report_s = 0.0
        draining_since_s: float | None = None
        while True:
            seen = await asyncio.to_thread(launcher.observe, settings, self.survey, self.stage)
            draining_since_s = (draining_since_s or time.monotonic()) if seen.state is Seen.DRAINING else None
            overdue = draining_since_s is not None and time.monotonic() - draining_since_s > _drain_limit_s(settings)
            kind = "stalled" if overdue else self._kind(settings, seen)
            if kind is not None:
                self.log.info("%s: %s", kind, report(seen))
                yield TriggerEvent(event(kind, seen))
                return
            if time.monotonic() >= next_report_s:
                self.log.info(report(seen))
                next_report_s = time.monotonic() + settings.supervision.report_s
            await asyncio.sleep(settings.supervision.poll_s)

    async def on_kill(self) -> None:
        """Drain: a user cleared or marked the task. It is only asked here; whoever starts the next one waits for it."""
        settings = load_settings(self.home)
        reason = "the supervising task was cleared or marked"
        asked = await asyncio.to_thread(launcher.request_drain, settings, self.survey, self.stage, reason)
        self.log.info("drain of %s for %s %s", self.stage, self.survey, "asked" if asked else "not needed: no driver")

    def _kind(self, settings: Settings, seen: Observation) -> str | None:
        kind = _ENDS.get(seen.state) or _HANGS.get(seen.state)
        if kind is None and seen.healthy and time.time() - self.since_s > settings.supervision.rotate_h * 3600:
            return "rotate"
        return kind


class WantedTrigger(_StageTrigger):
    """Wait until people want the stage to run; its one event has ``kind`` ``wanted``."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look each ``supervision.poll_s``, without a word in between: a held stage is no news."""
        settings = load_settings(self.home)
        self.log.info("%s for %s is held; ops_stream_control with action start releases it", self.stage, self.survey)
        while await asyncio.to_thread(launcher.desired, settings, self.survey, self.stage) != "running":
            await asyncio.sleep(settings.supervision.poll_s)
        yield TriggerEvent({"kind": "wanted"})


def report(seen: Observation) -> str:
    """One line about a driver, as operators read it in the task log."""
    beat = seen.heartbeat
    who = f"epoch {seen.epoch} pid {seen.identity.process.pid if seen.identity else '-'} {seen.state}"
    if beat is None:
        return f"{who}, no heartbeat yet"
    lag = "?" if beat.lag is None else beat.lag
    line = f"{who} batch {beat.batch or '-'} rows_in {beat.rows_in} rows_s {beat.rows_s:.0f} lag_max {lag}"
    line += f" trigger_ms {beat.trigger_ms} heartbeat {seen.age_s:.1f} s ago"
    return f"{line} error {beat.error}" if beat.error else line


def event(kind: str, seen: Observation) -> dict[str, Any]:
    """Contents of the event that a driver gives rise to."""
    beat = seen.heartbeat
    return {
        "kind": kind,
        "epoch": seen.epoch,
        "up_s": round(seen.up_s, 1),
        "error": beat.error if beat else "",
        "error_kind": beat.error_kind if beat else "",
        "state": report(seen),
    }


def _drain_limit_s(settings: Settings) -> float:
    # The driver itself stops in the middle of a batch after drain_timeout_s; then it needs a moment to go.
    return settings.supervision.drain_timeout_s + settings.supervision.stale_s
