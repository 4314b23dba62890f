"""From a file to a live filter: the gate that it passes, and the folder that the stream reads.

A promoted filter is a file in ``filters/<survey>`` of the installation. The stream finds it before its next batch.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fink_lib.errors import ConfigError
from fink_lib.filters.files import filter_folder, read_filter
from fink_lib.runtime.files import read_json, write_json

if TYPE_CHECKING:
    from fink_lib.filters.backtest import Backtest
    from fink_lib.filters.files import Filter
    from fink_lib.surveys.base import Survey

MIN_ALERTS = 1000
"""A backtest over fewer alerts says nothing about a yield of a per cent."""
MAX_US_PER_ALERT = 200.0
"""Largest cost of one predicate; all of them together have a tenth of an alert's 3.9 ms."""


def record_path(home: Path, survey_name: str, digest: str) -> Path:
    """Where the record of a backtest is."""
    return home / "backtests" / survey_name / f"{digest}.json"


def live_path(home: Path, survey_name: str, name: str) -> Path:
    """Where a promoted filter is."""
    return home / "filters" / survey_name / f"{name}.sql"


def keep_record(home: Path, told: Backtest) -> Path:
    """Keep a backtest for a later promotion; of one predicate the last one counts."""
    path = record_path(home, told.survey, told.digest)
    write_json(path, told.to_json())
    return path


def objections(home: Path, chosen: Filter) -> list[str]:
    """Say why a filter may not go live; nothing if it may.

    Parameters
    ----------
    home : Path
        The installation.
    chosen : Filter
        A checked filter.
    """
    told = []
    if "live" not in chosen.kinds:
        told.append(f"its kinds are '{chosen.header['kinds']}'; a filter of the stream needs 'live'")
    if (filter_folder(chosen.survey) / f"{chosen.name}.sql").exists():
        told.append(f"the broker has a filter '{chosen.name}'; choose another name")
    if chosen.budget is None:
        told.append("its header has no budget; say which share of a night's alerts it may take: -- budget: 2 %")
    record = read_json(record_path(home, chosen.survey, chosen.digest))
    if record is None:
        told.append("this predicate in this version was never backtested; run fink filter backtest on this file first")
        return told
    return told + list(_by_record(record, chosen))


def _by_record(record: dict[str, Any], chosen: Filter) -> list[str]:
    told = []
    if record["alerts"] < MIN_ALERTS:
        told.append(f"its backtest saw {record['alerts']} alerts; {MIN_ALERTS} are needed to judge a yield")
    if chosen.budget is not None and record["share"] > chosen.budget:
        told.append(
            f"it took {100 * record['share']:.3g} % of {record['alerts']} alerts, and its budget is "
            f"{100 * chosen.budget:.3g} %"
        )
    if record["evaluate_us_per_alert"] > MAX_US_PER_ALERT:
        told.append(f"it costs {record['evaluate_us_per_alert']} µs per alert, and {MAX_US_PER_ALERT:.0f} are allowed")
    return told


def promote(home: Path, survey: Survey, file: Path) -> Path:
    """Make a filter live.

    Parameters
    ----------
    home : Path
        The installation.
    survey : Survey
        Whose alerts.
    file : Path
        The filter.

    Returns
    -------
    Path
        Where the live filter is.

    Raises
    ------
    FilterError
        If it may not run at all.
    ConfigError
        If it does not pass the gate; the message has every reason.
    """
    chosen = read_filter(file, survey)
    reasons = objections(home, chosen)
    path = live_path(home, survey.name, chosen.name)
    if path.exists() and path.resolve() != file.resolve():
        present = read_filter(path, survey)
        if present.version == chosen.version and present.digest != chosen.digest:
            reasons.append(f"version {present.version} is live with another predicate; give it a new version")
    if reasons:
        raise ConfigError(f"{chosen.name} does not go live: {'; '.join(reasons)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".new")
    unfinished.write_text(chosen.text, encoding="utf-8")
    os.replace(unfinished, path)
    return path


def withdraw(home: Path, survey_name: str, name: str) -> None:
    """Take a promoted filter out of the stream; its topic and what it sent stay.

    Raises
    ------
    ConfigError
        If no filter of this name was promoted.
    """
    path = live_path(home, survey_name, name)
    if not path.exists():
        raise ConfigError(f"no filter '{name}' was promoted; those of the broker itself are in sql/filters")
    path.unlink()
