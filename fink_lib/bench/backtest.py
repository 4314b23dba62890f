"""How long a filter takes over past nights: a lake of a million alerts, and a backtest of the dearest filters."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from fink_lib.bench.usage import Usage
from fink_lib.config import Settings
from fink_lib.filters import load_filters
from fink_lib.filters.backtest import backtest
from fink_lib.lake import Lake, open_lake
from fink_lib.lake.lake import NewFile
from fink_lib.lake.tables import PARTITION
from fink_lib.science.loading import build_runner
from fink_lib.simulator.packets import read_packets
from fink_lib.simulator.synthetic.night import SyntheticNight

NIGHTS = 30
FIRST_NIGHT = date(2026, 1, 1)
FILE_ROWS = 20_000
SYNTHETIC_ALERTS = 1000
FIRST_ID = 10**17
COMMIT = "bench"


def backtest_seconds(
    settings: Settings,
    survey_name: str,
    rows: int,
    data: Sequence[Path],
    filters: Sequence[str],
    say: Callable[[str], None],
) -> tuple[dict[str, float], int, Usage]:
    """Fill a lake with copies of alerts and their science, and run backtests over all of it.

    Parameters
    ----------
    settings : Settings
        An empty installation.
    survey_name : str
        Which survey.
    rows : int
        How many alerts, spread evenly over :data:`NIGHTS` nights.
    data : sequence of Path
        Recorded alerts; synthetic ones if empty.
    filters : sequence of str
        Names of live filters.
    say : callable
        Takes a line of progress.

    Returns
    -------
    seconds : dict of str to float
        Of each filter.
    alerts : int
        Rows in the lake.
    usage : Usage
        Processor time and memory of the backtests.
    """
    lake = open_lake(settings, survey_name)
    lake.ensure()
    pattern = science_of(lake, settings, data)
    say(f"writing {rows} copies of {pattern.num_rows} alerts into {NIGHTS} nights")
    _fill(lake, pattern, rows)
    live = load_filters(lake.survey)
    seconds = {}
    with Usage([os.getpid()]) as usage:
        for name in filters:
            (chosen,) = [f for f in live.filters if f.name == name]
            told = backtest(lake, lake.nights("science"), chosen, live)
            say(f"{name}: {told.taken} of {told.alerts} alerts in {told.seconds:.1f} s")
            seconds[name] = told.seconds
    return seconds, told.alerts, usage


def science_of(lake: Lake, settings: Settings, data: Sequence[Path]) -> pa.Table:
    """Compute rows of ``science`` as the stream would."""
    survey = lake.survey
    packets = read_packets(list(data), survey) if data else SyntheticNight(0, SYNTHETIC_ALERTS).packets()
    alerts = survey.decode([packet.value for packet in packets]).alerts
    found = build_runner(survey, settings).apply(alerts)
    rows = alerts.select(survey.alert_schema.names)
    for field in survey.fink_schema:
        rows = rows.append_column(field, found.table.column(field.name))
    return rows.combine_chunks()


def _fill(lake: Lake, pattern: pa.Table, rows: int) -> None:
    nights = [(FIRST_NIGHT + timedelta(days=n)).strftime("%Y%m%d") for n in range(NIGHTS)]
    shares = np.array_split(np.arange(rows), NIGHTS)
    parts = [
        (night, share[start : start + FILE_ROWS])
        for night, share in zip(nights, shares, strict=True)
        for start in range(0, len(share), FILE_ROWS)
    ]

    def write(part: tuple[str, np.ndarray[Any, Any]]) -> list[NewFile]:
        night, numbers = part
        copies = pattern.take(pa.array(numbers % pattern.num_rows))
        place = copies.schema.get_field_index(lake.survey.id_field)
        copies = copies.set_column(place, copies.schema.field(place), pa.array(FIRST_ID + numbers, pa.int64()))
        return lake.write_files("science", copies.append_column(PARTITION, pa.array([night] * len(numbers))))

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        files = [file for written in pool.map(write, parts) for file in written]
    lake.commit("science", files, COMMIT, 1)
