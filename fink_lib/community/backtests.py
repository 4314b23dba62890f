"""Backtests as jobs: what is asked for, checked at once, and what comes out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fink_lib.community.drafts import Said, compose
from fink_lib.filters import Filter, load_filters
from fink_lib.filters.backtest import backtest, parse_nights
from fink_lib.filters.files import parse_filter
from fink_lib.filters.promotion import keep_record, objections
from fink_lib.lake import Lake
from fink_lib.surveys.base import Survey

KIND = "backtest"
AD_HOC = "ad_hoc"
MOST_NIGHTS = 60


def ad_hoc(predicate: str, survey: Survey) -> Filter:
    """Make a filter of a predicate that has no name."""
    return compose(AD_HOC, survey, Said(predicate, "ad hoc", "a predicate alone", "none", "none", None), "nobody", 1)


def run_backtest(lake: Lake, home: Path, asked: dict[str, Any]) -> dict[str, Any]:
    """Do a job.

    Parameters
    ----------
    lake : Lake
        Past nights.
    home : Path
        The installation: its filters are compared with, and the record is kept for the gate.
    asked : dict
        ``name`` and ``text`` of the filter, ``nights``.

    Returns
    -------
    dict
        The backtest, the cost of a million alerts, and what stands between the filter and the stream.

    Raises
    ------
    FilterError, ConfigError
        If the filter may not run any more, or the lake has no such nights.
    """
    survey = lake.survey
    chosen = parse_filter(asked["name"], asked["text"], survey)
    nights = parse_nights(asked["nights"], lake.nights("science"))
    # one thread: the other cores answer requests
    told = backtest(lake, nights, chosen, load_filters(survey, home=home), threads=1)
    result = {**told.to_json(), "seconds_per_million_alerts": told.evaluate_us_per_alert}
    if chosen.name != AD_HOC:
        keep_record(home, told)
        result["objections"] = objections(home, chosen)
    return result
