"""The operator that keeps one stream running without holding a worker.

It adopts the driver that lives or launches one, then defers to :class:`~dags.operators.driver_trigger.DriverTrigger`,
which watches it for a day. Nothing here is needed by a running driver: Airflow may be restarted at any time.
"""

from __future__ import annotations

import time
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from dags.operators.driver_trigger import DriverTrigger, WantedTrigger, report
from fink_lib.config import Settings, load_settings
from fink_lib.errors import ConfigError, LockedError, TransientError
from fink_lib.runtime import crashes, launcher

HEALTHY_S = 3600.0
"""A driver that lived longer than this crashes without spending a retry: its supervisor's run ends green instead."""


class StreamSupervisor(BaseOperator):
    """Keep the driver of one stage alive.

    Parameters
    ----------
    survey, stage : str
        Which driver.
    """

    ui_color = "#cde6d0"

    def __init__(self, *, survey: str, stage: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.survey = survey
        self.stage = stage

    def execute(self, context: Any) -> None:
        """Adopt or launch, then watch; or wait, if people want the stage stopped."""
        settings = load_settings()
        if launcher.desired(settings, self.survey, self.stage) == "stopped":
            if launcher.request_drain(settings, self.survey, self.stage, "the stage shall be stopped"):
                self.log.info("a driver lives although the stage shall be stopped: asked it to drain")
            self.defer(trigger=WantedTrigger(**self._arguments(settings)), method_name="released")
        self._check_budget(settings)
        self._ensure(settings)
        self.defer(trigger=DriverTrigger(**self._arguments(settings)), method_name="resume")

    def released(self, context: Any, event: dict[str, Any]) -> str:
        """End green: the next run of this DAG launches the driver."""
        return str(event["kind"])

    def resume(self, context: Any, event: dict[str, Any]) -> str:
        """Decide what the end of a driver means: all is well, try again, or ask for a person.

        Raises
        ------
        ConfigError
            If the driver said that a person must change something: never retried.
        TransientError
            If it died, failed or stalled: retried with backoff.
        AirflowFailException
            If the crash budget is spent.
        """
        settings = load_settings()
        kind, epoch = str(event["kind"]), int(event["epoch"])
        if kind == "rotate":
            self.log.info("a day of supervision is over; the next run adopts the same driver (%s)", event["state"])
            return kind
        if kind == "drained" and self._end_was_wanted(settings, epoch):
            return kind
        cause = event["error"] or ("it ended although nobody asked it to" if kind == "drained" else event["state"])
        text = f"driver of {self.stage} for {self.survey}, epoch {epoch}, {kind} after {event['up_s']} s: {cause}"
        crashes.record_crash(settings, self.survey, self.stage, epoch, text, event["error_kind"] or "fault")
        if event["error_kind"] == "config":
            raise ConfigError(text)
        self._check_budget(settings)
        if float(event["up_s"]) > HEALTHY_S:
            self.log.warning("%s; it had been healthy, so no retry is spent and the next run launches another", text)
            return kind
        raise TransientError(text)

    def on_kill(self) -> None:
        """Leave the driver alone: a worker that ends says nothing about the stream."""

    def _arguments(self, settings: Settings) -> dict[str, Any]:
        return {"survey": self.survey, "stage": self.stage, "home": str(settings.home), "since_s": time.time()}

    def _end_was_wanted(self, settings: Settings, epoch: int) -> bool:
        return launcher.drain_was_asked(settings, self.survey, self.stage, epoch) or (
            launcher.desired(settings, self.survey, self.stage) == "stopped"
        )

    def _ensure(self, settings: Settings) -> None:
        before = launcher.observe(settings, self.survey, self.stage)
        self.log.info("found: %s", report(before))
        try:
            seen, adopted = launcher.ensure(settings, self.survey, self.stage)
        except LockedError:
            raise  # another supervisor is at it; nothing crashed
        except (ConfigError, TransientError) as error:
            after = launcher.observe(settings, self.survey, self.stage)
            epoch = after.epoch if after.epoch > before.epoch else None
            kind = after.heartbeat.error_kind if epoch and after.heartbeat and after.heartbeat.error_kind else "fault"
            crashes.record_crash(settings, self.survey, self.stage, epoch, str(error), kind)
            raise
        self.log.info("%s: %s", "adopted" if adopted else "launched", report(seen))
        self.log.info("its output: %s", launcher.log_file(settings, self.survey, self.stage))

    def _check_budget(self, settings: Settings) -> None:
        if crashes.budget_spent(settings, self.survey, self.stage):
            causes = crashes.counted(settings, self.survey, self.stage)
            window_s = settings.supervision.crash_window_s
            raise AirflowFailException(
                f"crash budget spent: {len(causes)} crashes within {window_s:g} s; the last: {causes[-1]}. "
                f"Repair it, then run ops_stream_control with action start, and unpause this DAG"
            )
