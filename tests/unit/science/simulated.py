"""Simulated objects as alerts of the survey, so that a module can be asked about what the simulator knows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from fink_lib.science.models.simulation.sample import Request, Sample, simulate
from tests.unit.science.alerts import alert, table

ENTRY_FIELDS = ("magpsf", "sigmapsf", "diffmaglim", "magnr", "sigmagnr", "distnr")
ALERT_FIELDS = ("ndethist", "jdstarthist", "sgscore1", "distpsnr1")


def sample_of(seed: int, history_d: float = 30.0, **objects: int) -> Sample:
    """Simulate one alert of each of some objects."""
    return simulate(Request(objects, alerts_per_object=1, history_d=history_d), seed)


def alerts_of_sample(sample: Sample) -> pa.Table:
    """Give simulated alerts as the survey's table; their candids count from 0."""
    curves = sample.curves
    made = []
    for row in range(len(sample)):
        places = range(int(curves.offsets[row]), int(curves.offsets[row + 1]))
        points = [_point(sample, place) for place in places]
        own = {name: _number(curves.alerts[name][row]) for name in ALERT_FIELDS if name in curves.alerts}
        own["ndethist"] = int(own["ndethist"] or 0)
        last = {name: value for name, value in points[-1].items() if name != "candid"}
        made.append(alert(row, previous=points[:-1], **last | own))
    return table(made)


def _point(sample: Sample, place: int) -> dict[str, Any]:
    curves = sample.curves
    values: dict[str, Any] = {name: _number(curves.entries[name][place]) for name in ENTRY_FIELDS}
    positive = "t" if curves.entries["sign"][place] > 0 else "f"
    return values | {
        "jd": float(curves.time_jd[place]),
        "fid": int(curves.band[place]),
        "isdiffpos": None if values["magpsf"] is None else positive,
        "candid": None if values["magpsf"] is None else 10**6 + place,
        "pid": place,
        "ra": 150.0,
        "dec": 2.0,
    }


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
