"""Which night a run is about: decided here and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from fink_lib.errors import ConfigError

NIGHT_ENDS_H = {"ztf": 16}
"""Hours from the start of a night's calendar date (UTC) until its observations are over.

A ZTF night is the UT date of the exposures; Palomar observes from about 01:30 to 14:00 UT.
"""


def last_night(survey: str, now: datetime) -> str:
    """Night (``YYYYMMDD``) whose observations ended last before a moment.

    Parameters
    ----------
    survey : str
        Name of the survey.
    now : datetime
        The moment, with a time zone.
    """
    return (now.astimezone(UTC) - timedelta(hours=NIGHT_ENDS_H[survey])).strftime("%Y%m%d")


def night_of_run(survey: str, params: Mapping[str, Any], dag_run: Any) -> str:
    """Night of a DAG run: the parameter if one was given, else the one that ended before the run's logical date.

    Raises
    ------
    ConfigError
        If the parameter is no date.
    """
    given = str(params.get("night") or "")
    if not given:
        return last_night(survey, dag_run.logical_date or dag_run.run_after)
    try:
        if re.fullmatch(r"\d{8}", given) is None:
            raise ValueError("eight digits expected")
        datetime.strptime(given, "%Y%m%d")
    except ValueError as error:
        raise ConfigError(f"night {given!r} is no date YYYYMMDD ({error}); start the run again with another") from error
    return given
