"""What people may ask of a stream: drain, stop, start, restart. Each may be asked twice."""

from __future__ import annotations

import logging
import time

from fink_lib.config import Settings, load_settings
from fink_lib.errors import ConfigError, TransientError
from fink_lib.runtime import crashes, launcher

ACTIONS = ("drain", "stop", "start", "restart")
_POLL_S = 0.5

log = logging.getLogger(__name__)


def control_stream(survey: str, stage: str, action: str) -> str:
    """Do one action, wait until it has had its effect, and say what is now.

    Parameters
    ----------
    survey, stage : str
        Which stream.
    action : str
        ``drain``: end after the current batch, however long that takes, and stay stopped.
        ``stop``: the same, but end by force after ``supervision.drain_timeout_s``.
        ``start``: run again, with a new crash budget.
        ``restart``: end after the current batch and run again, with the code of now.

    Returns
    -------
    str
        The state of the driver.

    Raises
    ------
    ConfigError
        If there is no such action.
    TransientError
        If the effect did not come in time; asking again is harmless.
    """
    settings = load_settings()
    before = launcher.observe(settings, survey, stage)
    log.info("%s of %s for %s; it was %s (epoch %d)", action, stage, survey, before.state, before.epoch)
    reason = f"ops_stream_control: {action}"
    if action == "drain":
        launcher.set_desired(settings, survey, stage, "stopped", reason)
        launcher.request_drain(settings, survey, stage, reason)
        _wait_stopped(settings, survey, stage)
    elif action == "stop":
        launcher.set_desired(settings, survey, stage, "stopped", reason)
        launcher.kill(settings, survey, stage, reason=reason)
    elif action in ("start", "restart"):
        crashes.forgive_crashes(settings, survey, stage)
        launcher.set_desired(settings, survey, stage, "running", reason)
        if action == "restart":
            launcher.request_drain(settings, survey, stage, reason)
        _wait_running(settings, survey, stage, after_epoch=before.epoch if action == "restart" else 0)
    else:
        raise ConfigError(f"no action {action!r}; known are {', '.join(ACTIONS)}")
    after = launcher.observe(settings, survey, stage)
    log.info("%s for %s is now %s (epoch %d)", stage, survey, after.state, after.epoch)
    return str(after.state)


def _wait_stopped(settings: Settings, survey: str, stage: str) -> None:
    # A driver bounds its own drain by drain_timeout_s; one that is still there well after that is stuck.
    limit_s = settings.supervision.drain_timeout_s + settings.supervision.stale_s
    if not launcher.wait_ended(settings, survey, stage, limit_s):
        raise TransientError(f"{stage} has not drained within {limit_s:g} s; action stop ends it by force")


def _wait_running(settings: Settings, survey: str, stage: str, after_epoch: int) -> None:
    limits = settings.supervision
    # In the worst case the old driver uses all of its drain time before the new one starts.
    limit_s = limits.drain_timeout_s + limits.launch_timeout_s
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        seen = launcher.observe(settings, survey, stage)
        if seen.healthy and seen.epoch > after_epoch:
            return
        time.sleep(_POLL_S)
    raise TransientError(
        f"{stage} for {survey} did not come up within {limit_s:g} s; is stream_{stage}_{survey} paused or failing?"
    )
