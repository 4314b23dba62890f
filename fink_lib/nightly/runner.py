"""Running stages: one of them (a task of the chain), or all of them in order (``fink night run``)."""

from __future__ import annotations

import importlib
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fink_lib.errors import ConfigError, TransientError
from fink_lib.lake import open_lake
from fink_lib.nightly.nights import ORDER, check_night, night_state, open_hold, set_state
from fink_lib.nightly.replay.record import PROMOTING, read_replay
from fink_lib.nightly.stage import DISCARD, PROMOTE, NightContext, Verdict, keep_verdict, night_lock, refusal

if TYPE_CHECKING:
    from fink_lib.config import Settings

log = logging.getLogger(__name__)

FUNCTIONS = {
    "close_night": "fink_lib.nightly.close:close_night",
    "reconcile": "fink_lib.nightly.reconcile:reconcile",
    "compact": "fink_lib.nightly.compact:compact",
    "validate": "fink_lib.nightly.validate:validate",
    "select": "fink_lib.nightly.select:select",
    "archive": "fink_lib.nightly.archive:archive",
    "verify_archive": "fink_lib.nightly.archive:verify_archive",
    "summarise": "fink_lib.nightly.summarise:summarise",
    "validate_archive": "fink_lib.nightly.validate:validate_archive",
    "publish": "fink_lib.nightly.publish:publish",
    "heal": "fink_lib.nightly.heal:heal",
    "tables": "fink_lib.nightly.archive:tables",
    "promote": "fink_lib.nightly.replay.promote:promote",
    "discard": "fink_lib.nightly.replay.promote:discard",
    "healable": "fink_lib.nightly.heal:healable",
    "reopenable": "fink_lib.nightly.reopen:reopenable",
    "holding": "fink_lib.nightly.decisions:holding",
}
"""Where each stage is; a process imports only the one it runs."""

LISTS = ("tables", "healable", "reopenable", "holding")
"""Stages that only look: they take no lock and leave no trace."""

POLL_S = 2.0


def run_stage(
    settings: Settings,
    survey: str,
    night: str,
    stage: str,
    table: str = "",
    now: datetime | None = None,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Run one stage of one night, under the night's lock.

    Parameters
    ----------
    settings : Settings
        Of the installation.
    survey, night : str
        Which night.
    stage : str
        One of :data:`FUNCTIONS`.
    table : str
        Archive table, for archive and verify_archive; all without.
    now : datetime, optional
        The present time (UTC); the clock's without.
    progress : callable, optional
        Takes lines for people.

    Returns
    -------
    dict
        The verdict: ``stage``, ``night``, ``ok``, ``message`` and what the stage adds.

    Raises
    ------
    LockedError
        If another stage of this night is running.
    ConfigError
        If night, stage or table are wrong.
    TransientError
        If a service is away; the night's state is left as it was, the same call may succeed later.
    """
    check_night(night)
    if stage not in FUNCTIONS:
        raise ConfigError(f"no stage is called {stage!r}; use one of: {', '.join(FUNCTIONS)}")
    lake = open_lake(settings, survey)
    context = NightContext(settings, lake.survey, lake, night, now or datetime.now(UTC), progress or _log_line, table)
    function = _load(FUNCTIONS[stage])
    if stage in LISTS:
        return function(context).to_json(stage, night)
    with night_lock(settings, survey, night):
        lake.ensure()
        refused = _unfinished(settings, survey, night, stage) or refusal(lake, night, stage)
        if refused is not None:
            return refused.to_json(stage, night)
        verdict = _judged(context, stage, function)
        told = verdict.to_json(stage, night)
        for after in verdict.then:
            verdict = _judged(context, after, _load(FUNCTIONS[after]))
            context.progress(f"{after}: {verdict.message}")
            told |= {"ok": verdict.ok, "message": f"{told['message']}; {after}: {verdict.message}"}
            if not verdict.ok:
                break
        return told


def run_night(
    settings: Settings,
    survey: str,
    night: str,
    progress: Callable[[str], None] | None = None,
    close_timeout_s: float | None = None,
) -> dict[str, Any]:
    """Run all stages of a night in order, in this process.

    Parameters
    ----------
    settings : Settings
        Of the installation.
    survey, night : str
        Which night.
    progress : callable, optional
        Takes lines for people.
    close_timeout_s : float, optional
        How long to wait for the night to close; ``nightly.close_timeout_s`` without.

    Returns
    -------
    dict
        ``night``, ``ok``, ``state``, ``message`` (of the last stage) and ``stages`` (the verdict of each that ran).

    Raises
    ------
    LockedError, ConfigError, TransientError
        As :func:`run_stage`; TransientError also if the night does not close in time.
    """
    tell = progress or _log_line
    deadline_s = time.monotonic() + (settings.nightly.close_timeout_s if close_timeout_s is None else close_timeout_s)
    verdicts = []

    def run(stage: str) -> dict[str, Any]:
        verdict = run_stage(settings, survey, night, stage, progress=tell)
        if stage != "close_night" or verdict["closed"]:
            verdicts.append(verdict)
        tell(f"{stage}: {verdict['message']}")
        return verdict

    while not (last := run("close_night"))["closed"]:
        if time.monotonic() > deadline_s:
            raise TransientError(f"night {night} did not close in time: {last['why']}")
        time.sleep(POLL_S)
    for stage in ORDER[1:]:
        if last.get("empty") or not last["ok"]:
            break
        last = run(stage)
    present = night_state(open_lake(settings, survey), night)
    return {
        "night": night,
        "ok": last["ok"],
        "state": present.state if present else "live",
        "message": last["message"],
        "stages": verdicts,
    }


def _unfinished(settings: Settings, survey: str, night: str, stage: str) -> Verdict | None:
    """Keep all stages but its own away from a night whose replay is half promoted."""
    replay = read_replay(settings, survey, night)
    if replay is None or replay.state != PROMOTING or stage in (PROMOTE, DISCARD):
        return None
    step = f"finish that first: fink replay promote {night}"
    return Verdict(False, f"the promotion of a replay of night {night} was cut short; {step}")


def _judged(context: NightContext, stage: str, function: Callable[[NightContext], Verdict]) -> Verdict:
    """Run a stage; keep its verdict; move the night."""
    begun_s = time.monotonic()
    try:
        verdict = function(context)
    except (TransientError, ConfigError):
        raise
    except Exception as error:
        if stage in ORDER:
            set_state(context.lake, context.night, "failed", stage, f"{stage} broke: {error}", context.now)
        raise
    state = verdict.state or _recovered(context, stage, verdict)
    if state:
        ends = state == "closed" and _ends_hold(context, stage)
        set_state(context.lake, context.night, state, stage, verdict.message, context.now, again=ends)
    if not (stage == "verify_archive" and context.table):  # that one keeps a verdict for each table
        keep_verdict(context, stage, verdict, time.monotonic() - begun_s)
    return verdict


def _recovered(context: NightContext, stage: str, verdict: Verdict) -> str:
    """Give ``closed`` if the stage at which the night failed or was held has passed now."""
    present = night_state(context.lake, context.night)
    stuck = present is not None and present.state in ("failed", "held") and present.stage == stage
    free = stuck or (present is not None and present.state == "closed" and _ends_hold(context, stage))
    return "closed" if verdict.ok and free and stage != "close_night" else ""


def _ends_hold(context: NightContext, stage: str) -> bool:
    """Tell whether a night is held at this stage, whatever has happened to its state since."""
    hold = open_hold(context.lake, context.night)
    return hold is not None and hold.stage == stage


def _load(place: str) -> Callable[[NightContext], Verdict]:
    module, _, name = place.partition(":")
    function: Callable[[NightContext], Verdict] = getattr(importlib.import_module(module), name)
    return function


def _log_line(line: str) -> None:
    log.info("%s", line)
