"""All that is known about one night, for people: state, summary tables, both sides of the ledger equations."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from fink_lib.lake.tables import PARTITION
from fink_lib.nightly.decisions import decisions
from fink_lib.nightly.ledger import night_ledger
from fink_lib.nightly.nights import night_state
from fink_lib.nightly.stage import verdict_path
from fink_lib.runtime.files import read_json

if TYPE_CHECKING:
    from fink_lib.config import Settings
    from fink_lib.lake import Lake

STAGE_WITH_LEDGER = "reconcile"


def describe_night(settings: Settings, lake: Lake, night: str) -> dict[str, Any]:
    """Give all that is known about one night, without asking Kafka.

    Parameters
    ----------
    settings : Settings
        The installation.
    lake : Lake
        Its tables.
    night : str
        ``YYYYMMDD``.

    Returns
    -------
    dict
        ``night``, ``survey``, ``state``, ``since``, ``reason``; ``summary``: the tables ``basic``, ``class``,
        ``filters``, ``versions``, ``quality``, ``ledger``, ``latency`` and when they were computed, or None before;
        ``decisions``: what people have decided about the night; ``ledger``: see
        :func:`fink_lib.nightly.ledger.night_ledger`; ``reconciled``: what the nightly chain found when it asked Kafka.
    """
    present = night_state(lake, night)
    return {
        "survey": lake.survey.name,
        "night": night,
        "state": present.state if present else "live",
        "since": present.time.isoformat() if present else None,
        "reason": present.reason if present else "",
        "summary": night_summary(lake, night),
        "decisions": [
            asdict(one) | {"rules": list(one.rules), "time": one.time.isoformat()} for one in decisions(lake, night)
        ],
        "ledger": night_ledger(settings, lake.survey.name, night, kafka=False),
        "reconciled": read_json(verdict_path(settings, lake.survey.name, night, STAGE_WITH_LEDGER)),
    }


def night_summary(lake: Lake, night: str) -> dict[str, Any] | None:
    """Read the summary tables of a night; None if it was not summarised yet."""
    rows = lake.read("night_summary", [night]).to_pylist()
    if not rows:
        return None
    # Fields and pixels of the sky are many; who wants them reads the files of the night's reports.
    return {name: _plain(value) for name, value in rows[0].items() if name not in (PARTITION, "fields", "coverage")}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return dict(value or ())  # a map comes as pairs
