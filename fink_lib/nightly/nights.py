"""The states of a night, and the list of nights."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.errors import ConfigError
from fink_lib.lake import open_lake
from fink_lib.lake.tables import PARTITION

if TYPE_CHECKING:
    from fink_lib.config import Settings
    from fink_lib.lake import Lake

STATES = ("live", "closing", "closed", "held", "archived", "failed", "empty", "abandoned")
"""Every word that a night's state can be."""

ORDER = (
    "close_night",
    "reconcile",
    "compact",
    "validate",
    "select",
    "archive",
    "verify_archive",
    "summarise",
    "validate_archive",
    "publish",
)
"""The stages of the chain, first to last."""

COUNTED = ("raw", "cutouts", "quarantine", "science", "rejected", "sent")


@dataclass(frozen=True)
class NightState:
    """What a night is now.

    Parameters
    ----------
    state : str
        One of :data:`STATES`.
    time : datetime
        Since when (UTC).
    stage, by, reason : str
        Which stage said so, for whom (``nightly`` or a person's name), and one sentence.
    """

    state: str
    time: datetime
    stage: str
    by: str
    reason: str


def check_night(night: str) -> str:
    """Give the night back if it is a date.

    Raises
    ------
    ConfigError
        If it is not ``YYYYMMDD``.
    """
    try:
        if len(night) == 8 and datetime.strptime(night, "%Y%m%d"):
            return night
    except ValueError:
        pass
    raise ConfigError(f"{night!r} is not a night; write it as YYYYMMDD")


def end_of_night(night: str) -> datetime:
    """Give the time (UTC) after which no alert of a night can be taken."""
    # Nights of other surveys end at noon UTC; half a day more does no harm to the one that ends at midnight.
    return datetime.strptime(night, "%Y%m%d").replace(tzinfo=UTC) + timedelta(days=1, hours=12)


def night_state(lake: Lake, night: str) -> NightState | None:
    """Give the present state of a night; None if nothing was ever said of it."""
    rows = lake.read("nights", [night]).sort_by([("time", "descending")])
    if rows.num_rows == 0:
        return None
    row = rows.slice(0, 1).to_pylist()[0]
    return NightState(row["state"], row["time"], row["stage"], row["by"], row["reason"])


def open_hold(lake: Lake, night: str) -> NightState | None:
    """Give the hold of a night that nobody has ended; None if there is none.

    A hold ends when its own stage passes, or when a person releases it. A late alert that takes the night back to
    closing, a failure of another stage, and a person who abandons the night do not end it.
    """
    hold: NightState | None = None
    for row in lake.read("nights", [night]).sort_by("time").to_pylist():
        if row["state"] == "held":
            hold = NightState(row["state"], row["time"], row["stage"], row["by"], row["reason"])
        elif hold is not None and row["state"] == "closed" and row["stage"] == hold.stage:
            hold = None
    return hold


def was_archived(lake: Lake, night: str) -> bool:
    """Tell whether a night has ever been archived, whatever it is now."""
    return "archived" in lake.read("nights", [night], columns=["state"]).column("state").to_pylist()


def set_state(
    lake: Lake,
    night: str,
    state: str,
    stage: str,
    reason: str,
    now: datetime,
    by: str = "nightly",
    again: bool = False,
) -> bool:
    """Record a transition; nothing is written if the night is in that state already.

    Parameters
    ----------
    lake : Lake
        Of the survey.
    night : str
        ``YYYYMMDD``.
    state : str
        One of :data:`STATES`.
    stage, by, reason : str
        See :class:`NightState`.
    now : datetime
        The present time (UTC).
    again : bool
        Write it even so: another stage says it, or another person.

    Returns
    -------
    bool
        Whether it was written.
    """
    if state not in STATES:
        raise ValueError(f"{state!r} is not a state of a night")
    present = night_state(lake, night)
    if present is not None and present.state == state and not again:
        return False
    # Never before the last transition, even if the clock went back: the newest row is the state.
    time = now if present is None else max(now, present.time + timedelta(microseconds=1))
    row = {"state": state, "time": time, "stage": stage, "by": by, "reason": reason, PARTITION: night}
    lake.append("nights", pa.Table.from_pylist([row], schema=lake.schema("nights")))
    return True


def list_nights(settings: Settings, survey: str) -> list[dict[str, Any]]:
    """List every night that has rows or a state.

    Returns
    -------
    list of dict
        ``night``, ``state`` (``live`` as long as nothing was said), ``since``, ``reason``, and the number of rows in
        ``raw``, ``cutouts``, ``quarantine``, ``science``, ``rejected`` (by a quality cut), ``duplicates``, ``sent``;
        newest night first.
    """
    lake = open_lake(settings, survey)
    counts = {table: rows_by_night(lake, table) for table in COUNTED}
    duplicates = _duplicates_by_night(lake)
    states = list_states(lake)
    listed = []
    for night in sorted({*states, *(night for table in counts.values() for night in table)}, reverse=True):
        present = states.get(night)
        rows = {table: counts[table].get(night, 0) for table in COUNTED}
        rows["duplicates"] = duplicates.get(night, 0)
        rows["rejected"] -= rows["duplicates"]
        listed.append(
            {
                "night": night,
                "state": present.state if present else "live",
                "since": present.time.isoformat() if present else None,
                "reason": present.reason if present else "",
                **rows,
            }
        )
    return listed


def rows_by_night(lake: Lake, table: str) -> dict[str, int]:
    """Count a table's rows for each night, from the table's log alone."""
    actions = pa.table(lake.table(table).get_add_actions(flatten=True)).select(
        [f"partition.{PARTITION}", "num_records"]
    )
    if actions.num_rows == 0:
        return {}
    summed = actions.group_by(f"partition.{PARTITION}").aggregate([("num_records", "sum")]).to_pylist()
    return {row[f"partition.{PARTITION}"]: row["num_records_sum"] or 0 for row in summed}


def _duplicates_by_night(lake: Lake) -> dict[str, int]:
    rows = lake.dataset("rejected").to_table([PARTITION], filter=pc.field("reason") == "duplicate")
    return {item["values"]: item["counts"] for item in rows.column(PARTITION).value_counts().to_pylist()}


def list_states(lake: Lake) -> dict[str, NightState]:
    """Give the present state of every night of which something was said."""
    newest: dict[str, NightState] = {}
    for row in lake.read("nights").sort_by([("time", "ascending")]).to_pylist():
        newest[row[PARTITION]] = NightState(row["state"], row["time"], row["stage"], row["by"], row["reason"])
    return newest
