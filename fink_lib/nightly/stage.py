"""What all stages of the chain share: their surroundings, their verdict, and the rule that says when each may run.

A stage is a function from :class:`NightContext` to :class:`Verdict`. It may be called any number of times, at any
moment: it either does its work again with the same result or says in one sentence why it must not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fink_lib.nightly.nights import ORDER, NightState, night_state, open_hold
from fink_lib.runtime.files import read_json, write_json
from fink_lib.runtime.lock import FileLock

if TYPE_CHECKING:
    from fink_lib.config import Settings
    from fink_lib.lake import Lake
    from fink_lib.surveys.base import Survey

LOCK_WAIT_S = 2.0

HEAL = "heal"
"""A stage apart from the chain: it may come at any time after a night was closed."""

REPLAY = "replay"
"""What makes a night again beside the live one; its rows in the ledger are promotions."""

PROMOTE, DISCARD = "promote", "discard"
"""What becomes of a replay."""

WITHDRAWN = "withdrawn"
"""Stands for a module in table ``healed``: a promoted replay has taken the alert out of ``science``."""

SELECT = "select"
"""The stage that sends what the filters of the night choose."""

CORRECTIONS = "corrections"
"""Stands for a filter in the name of the topic of corrections, in headers and in counts; never in table ``sent``."""

AFTER_HEALING = ORDER[ORDER.index("compact") :]
"""What brings a night up to date that was archived before it was healed."""


@dataclass(frozen=True)
class NightContext:
    """The surroundings of one call of a stage.

    Parameters
    ----------
    settings : Settings
        Of the installation.
    survey : Survey
        Whose night.
    lake : Lake
        Its tables.
    night : str
        ``YYYYMMDD``.
    now : datetime
        The present time (UTC); no stage asks a clock.
    progress : callable
        Takes plain lines for people.
    table : str
        Archive table, for the stages that work on one.
    """

    settings: Settings
    survey: Survey
    lake: Lake
    night: str
    now: datetime
    progress: Callable[[str], None]
    table: str = ""

    @property
    def report_dir(self) -> Path:
        """Folder of the night's files for people."""
        return self.settings.report_dir(self.survey.name, self.night)


@dataclass(frozen=True)
class Verdict:
    """How a stage ended.

    Parameters
    ----------
    ok : bool
        False: the chain must not go on.
    message : str
        One sentence: what was found, and what to do if not ok.
    details : dict
        JSON-able, for the next task and for the page that shows the night.
    state : str
        State that the night is in from now on; empty leaves it.
    then : tuple of str
        Stages that have to run again now, one after the other.
    """

    ok: bool
    message: str
    details: dict[str, Any] = field(default_factory=dict)
    state: str = ""
    then: tuple[str, ...] = ()

    def to_json(self, stage: str, night: str) -> dict[str, Any]:
        """Give the verdict as the tasks of the chain pass it on."""
        return {"stage": stage, "night": night, "ok": self.ok, "message": self.message, **self.details}


def night_lock(settings: Settings, survey: str, night: str) -> FileLock:
    """Give the lock that keeps a night to one stage at a time."""
    return FileLock(settings.run_dir(survey, "nights") / f"{night}.lock", wait_s=LOCK_WAIT_S)


def verdict_path(settings: Settings, survey: str, night: str, stage: str, table: str = "") -> Path:
    """Give the file that keeps the last verdict of a stage."""
    name = f"{stage}.{table}" if table else stage
    return settings.report_dir(survey, night) / "verdicts" / f"{name}.json"


def read_verdict(context: NightContext, stage: str, table: str = "") -> dict[str, Any] | None:
    """Read the last verdict of a stage on this night."""
    return read_json(verdict_path(context.settings, context.survey.name, context.night, stage, table))


def keep_verdict(context: NightContext, stage: str, verdict: Verdict, took_s: float = 0.0) -> None:
    """Keep a verdict, and how long it took to find it, for later stages and for people."""
    path = verdict_path(context.settings, context.survey.name, context.night, stage, context.table)
    write_json(path, verdict.to_json(stage, context.night) | {"took_s": round(took_s, 3)})


def refusal(lake: Lake, night: str, stage: str) -> Verdict | None:
    """Tell why a stage may not run now; None if it may.

    A stage runs on a closed or archived night. On a night that failed or is held it runs only if the trouble is its
    own or came later: so a failed stage can be tried again, and nothing passes a gate that is shut.
    """
    present = night_state(lake, night)
    if stage == "close_night":
        return None
    if stage == HEAL:
        return None if may_heal(present) else Verdict(False, _no_healing(night, present))
    if stage == DISCARD:
        return None
    if stage == PROMOTE:
        return None if may_promote(present) else Verdict(False, _no_promotion(night, present))
    if present is None or present.state in ("live", "closing"):
        what = present.state if present else "live"
        return Verdict(False, f"night {night} is {what}; {stage} waits until close_night has closed it")
    if present.state == "empty":
        return Verdict(True, f"night {night} is empty; there is nothing to do", {"empty": True})
    if present.state == "abandoned":
        return Verdict(False, f"night {night} was abandoned by {present.by}: {present.reason}")
    if present.state in ("failed", "held") and ORDER.index(present.stage) < ORDER.index(stage):
        step = "run it again" if present.state == "failed" else "release, replay or abandon the night"
        return Verdict(False, f"night {night} is {present.state} at {present.stage} ({present.reason}); {step} first")
    hold = open_hold(lake, night)  # late alerts change the state of a night that is held; they do not release it
    if hold is not None and ORDER.index(hold.stage) < ORDER.index(stage):
        return Verdict(False, f"night {night} is held at {hold.stage} ({hold.reason}); release or abandon it first")
    return None


def may_heal(present: NightState | None) -> bool:
    """Tell whether a night in this state may be healed: no stream writes it, and nobody has to decide about it."""
    if present is None:
        return False
    return present.state in ("closed", "archived") or (present.state == "failed" and present.stage in AFTER_HEALING)


def may_promote(present: NightState | None) -> bool:
    """Tell whether a replay may take the place of a night: one that may be healed, or that waits for a person."""
    return may_heal(present) or (present is not None and present.state == "held")


def _no_promotion(night: str, present: NightState | None) -> str:
    state = present.state if present else "live"
    why = f" at {present.stage} ({present.reason})" if present and state == "failed" else ""
    return f"night {night} is {state}{why}; a replay is promoted when its night is closed, held or archived"


def _no_healing(night: str, present: NightState | None) -> str:
    state = present.state if present else "live"
    why = f" at {present.stage} ({present.reason})" if present and state in ("failed", "held") else ""
    return f"night {night} is {state}{why}; only a closed or archived night is healed"
