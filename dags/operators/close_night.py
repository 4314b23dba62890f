"""Waiting for the end of a night without holding a worker."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, DownstreamTasksSkipped
from airflow.triggers.base import BaseTrigger, TriggerEvent

from dags.operators.night_stage import judge, stage_command
from dags.operators.process import process_environment
from fink_lib.config import load_settings, project_root
from fink_lib.errors import ConfigError, FinkError, LockedError, TransientError
from fink_lib.runtime.files import read_json

STAGE = "close_night"
# One look is a process of two processor seconds, so it must not follow the next one at once.
_SHORTEST_S, _LEAST_S, _LONGEST_S = 2.0, 5.0, 60.0
_FAILURES = 5


class NightClosedTrigger(BaseTrigger):
    """Ask the stage ``close_night`` again and again until the night is closed.

    Its one event has ``verdict`` (the night is closed) or ``error`` and ``error_kind``.
    """

    def __init__(self, survey: str, night: str, home: str, since_s: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow gives its triggers no types
        self.survey = survey
        self.night = night
        self.home = home
        self.since_s = since_s

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Give import path and arguments, from which any triggerer can make it again."""
        arguments = {"survey": self.survey, "night": self.night, "home": self.home, "since_s": self.since_s}
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll often at first, then about ten times in the quiet period that a night needs to be over."""
        limits = load_settings(self.home).nightly
        longest_s = min(_LONGEST_S, max(_LEAST_S, limits.quiet_s / 10))
        pause_s, failures, last_why = _SHORTEST_S, 0, ""
        while True:
            try:
                verdict = await self._poll()
                failures = 0
                if verdict.get("closed"):
                    yield TriggerEvent({"verdict": verdict})
                    return
                why = str(verdict.get("why", ""))
                kind = "transient"
            except (FinkError, AirflowFailException) as error:
                failures += 0 if isinstance(error, LockedError) else 1
                why = str(error)
                kind = "transient" if isinstance(error, (LockedError, TransientError)) else "config"
            if why != last_why:
                self.log.info("night %s is not closed: %s", self.night, why)
                last_why = why
            overdue = time.time() - self.since_s > limits.close_timeout_s
            if kind == "config" or failures >= _FAILURES or overdue:
                prefix = f"not closed within {limits.close_timeout_s / 3600:g} h: " if overdue else ""
                yield TriggerEvent({"error": prefix + why, "error_kind": kind})
                return
            await asyncio.sleep(pause_s)
            pause_s = min(longest_s, pause_s * 1.5)

    async def _poll(self) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="fink-verdict-") as folder:
            file = Path(folder) / "verdict.json"
            process = await asyncio.create_subprocess_exec(
                *stage_command(self.survey, STAGE, self.night, file),
                cwd=project_root(),
                env=process_environment(Path(self.home)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            try:
                output, _ = await process.communicate()
            except asyncio.CancelledError:
                process.kill()
                await process.wait()
                raise
            verdict = await asyncio.to_thread(read_json, file)
        if process.returncode and verdict is None:
            self.log.warning(output.decode(errors="replace").strip()[-2000:])
        return judge(STAGE, self.night, process.returncode or 0, verdict)


class CloseNight(BaseOperator):
    """Wait until the survey has stopped and the streams have taken in everything of a night.

    Parameters
    ----------
    survey : str
        Which survey.
    night : str
        ``YYYYMMDD`` (templated).
    """

    template_fields = ("night",)
    ui_color = "#e8e0c8"

    def __init__(self, *, survey: str, night: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.survey = survey
        self.night = night

    def execute(self, context: Any) -> None:
        """Leave the waiting to the triggerer."""
        home = str(load_settings().home)
        self.log.info("waiting for the end of night %s of %s", self.night, self.survey)
        self.defer(trigger=NightClosedTrigger(self.survey, self.night, home, time.time()), method_name="resume")

    def resume(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:
        """Go on with a night that has alerts; end here, green, with one that has none."""
        if "error" in event:
            kind = ConfigError if event["error_kind"] == "config" else TransientError
            raise kind(f"night {self.night}: {event['error']}")
        verdict: dict[str, Any] = event["verdict"]
        self.log.info("closed: %s", verdict.get("why") or verdict.get("message", ""))
        if verdict.get("empty"):
            self.log.info("night %s has no data: nothing else is to be done", self.night)
            context["ti"].xcom_push(key="return_value", value=verdict)
            raise DownstreamTasksSkipped(tasks=sorted(self.downstream_task_ids))
        return verdict
