"""What people decide about a night that is held: release it, have it judged again, or abandon it.

A decision is a row of table ``decisions``, and a change of the night's state in table ``nights``, both with the name
and the reason. A release is about the rules that had failed: the same failures do not hold the night again, however
often its tasks are cleared, and a failure of another rule does.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from fink_lib.errors import ConfigError
from fink_lib.lake import open_lake
from fink_lib.lake.lake import file_exists
from fink_lib.lake.tables import PARTITION
from fink_lib.nightly.nights import check_night, night_state, open_hold, set_state
from fink_lib.nightly.quality import failed_rules
from fink_lib.nightly.stage import NightContext, Verdict, night_lock, read_verdict

if TYPE_CHECKING:
    from fink_lib.config import Settings
    from fink_lib.lake import Lake

RELEASE, REPLAY, ABANDON = "release", "replay", "abandon"
DECISIONS = (RELEASE, REPLAY, ABANDON)

GATE = "validate"
"""The stage that holds nights."""


@dataclass(frozen=True)
class Decision:
    """What somebody has decided about a night.

    Parameters
    ----------
    decision : str
        One of :data:`DECISIONS`.
    stage : str
        The stage that had stopped the night.
    rules : tuple of str
        The critical rules (``suite.column``) that had failed.
    by, reason : str
        Who, and why.
    time : datetime
        When (UTC).
    """

    decision: str
    stage: str
    rules: tuple[str, ...]
    by: str
    reason: str
    time: datetime


def decisions(lake: Lake, night: str) -> list[Decision]:
    """List what was decided about a night, oldest first."""
    if not file_exists(f"{lake.uri('decisions')}/_delta_log"):
        return []  # a reader may come to a lake of an older version before any stage has added the table
    rows = lake.read("decisions", [night]).sort_by("time").to_pylist()
    return [
        Decision(row["decision"], row["stage"], tuple(row["rules"] or ()), row["by"], row["reason"], row["time"])
        for row in rows
    ]


def released_rules(lake: Lake, night: str) -> set[str]:
    """Name the rules whose failure was released, and not taken back by a later decision."""
    released: set[str] = set()
    for one in decisions(lake, night):
        released = released | set(one.rules) if one.decision == RELEASE else set()
    return released


def decide(
    settings: Settings, survey: str, night: str, decision: str, by: str, reason: str, now: datetime
) -> dict[str, Any]:
    """Decide about a night.

    Parameters
    ----------
    settings : Settings
        Of the installation.
    survey, night : str
        Which night.
    decision : str
        ``release``: a held night goes on, with the faults that it has. ``replay``: a held or abandoned night is judged
        again, and does not go on before it passes. ``abandon``: a held or failed night is given up.
    by, reason : str
        Who decides, and why; both are kept.
    now : datetime
        The present time (UTC).

    Returns
    -------
    dict
        ``night``, ``decision``, ``state`` (after it), ``rules``, ``message``.

    Raises
    ------
    ConfigError
        If name or reason is missing, or the night is in no state to decide this about.
    LockedError
        If a stage of the night is running.
    """
    check_night(night)
    if decision not in DECISIONS:
        raise ConfigError(f"nobody can {decision!r} a night; decide one of: {', '.join(DECISIONS)}")
    by, reason = by.strip(), reason.strip()
    if not by or not reason:
        raise ConfigError(f"to {decision} a night takes a name and a reason; say who you are, and why")
    lake = open_lake(settings, survey)
    with night_lock(settings, survey, night):
        lake.ensure()
        present, hold = night_state(lake, night), open_hold(lake, night)
        if present is None or not _may(decision, present.state, hold is not None):
            state = present.state if present else "live"
            raise ConfigError(f"night {night} is {state}: there is nothing to {decision}; see `fink night list`")
        stopped = hold or present
        rules = failed_rules(lake, night) if stopped.stage == GATE else []
        # Never before the last decision, even if the clock went back: the order is what a release depends on.
        times = [now, *(one.time + timedelta(microseconds=1) for one in decisions(lake, night))]
        row = {"decision": decision, "stage": stopped.stage, "rules": rules, "by": by, "reason": reason}
        rows = [{**row, "time": max(times), PARTITION: night}]
        lake.append("decisions", pa.Table.from_pylist(rows, schema=lake.schema("decisions")))
        state = {RELEASE: "closed", REPLAY: "held" if hold else "failed", ABANDON: "abandoned"}[decision]
        told = {RELEASE: "released", REPLAY: "to be judged again", ABANDON: "abandoned"}[decision]
        set_state(lake, night, state, stopped.stage, f"{told}: {reason}", now, by=by, again=decision == RELEASE)
    message = f"night {night} is {told} by {by}: {reason}"
    return {"night": night, "decision": decision, "state": state, "rules": rules, "message": message}


def _may(decision: str, state: str, held: bool) -> bool:
    """Tell whether a decision fits a night's state; a hold may be open behind another state, after late alerts."""
    if decision == RELEASE:
        return held and state in ("held", "closed")
    if decision == REPLAY:
        return state == "abandoned" or (held and state in ("held", "closed"))
    return state in ("held", "failed") or (held and state == "closed")


def holding(context: NightContext) -> Verdict:
    """Tell whether the night waits for a person, and for what; changes nothing."""
    context.lake.ensure()
    hold, present = open_hold(context.lake, context.night), night_state(context.lake, context.night)
    state = present.state if present else "live"
    verdict = read_verdict(context, GATE) or {}
    sentence = f"night {context.night} is {state}"
    if hold is not None:
        sentence = hold.reason
    elif present is not None and present.state == "abandoned":
        sentence = f"night {context.night} was abandoned by {present.by}: {present.reason}"
    details = {
        "held": hold is not None and state != "abandoned",
        "state": state,
        "sentences": [one["sentence"] for one in verdict.get("failures", []) if one["severity"] == "critical"],
        "data_docs": verdict.get("data_docs", ""),
    }
    return Verdict(True, sentence, details)
