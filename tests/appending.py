"""A second writer in a process of its own: it appends alerts to a night, one commit each, as the stream does."""

from __future__ import annotations

import time
from pathlib import Path

import pyarrow as pa

from fink_lib.config import Settings
from fink_lib.lake import open_lake
from tests.night_rows import NIGHT, replace, science_rows

FIRST_ID = 1000


def append_alerts(home: str, number: int, pause_s: float, ready: str) -> None:
    """Append alerts to ``science`` and every third one to ``rejected`` as well, as a copy.

    Parameters
    ----------
    home : str
        The installation.
    number : int
        How many alerts.
    pause_s : float
        Between two.
    ready : str
        File that is made when the first one is there.
    """
    lake = open_lake(Settings(home=Path(home)), "ztf")
    for place in range(number):
        rows = science_rows(lake, 1, seed=place, first_id=FIRST_ID + place)
        lake.append("science", replace(rows, ingest={"offset": [FIRST_ID + place]}), "ztf.raw2science.g1", place)
        if place % 3 == 0:
            row = {"alert_id": FIRST_ID + place, "topic": "t", "partition": 0, "offset": 10 * FIRST_ID + place,
                   "reason": "duplicate", "batch": "b", "night": NIGHT}  # fmt: skip
            copy = pa.Table.from_pylist([row], schema=lake.schema("rejected"))
            lake.append("rejected", copy, "ztf.raw2science.g1", place)
        Path(ready).touch()
        time.sleep(pause_s)
