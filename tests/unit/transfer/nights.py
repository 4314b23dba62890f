"""A lake with two small nights, in several files and with images, for transfers to read."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.lake import Lake
from tests.night_rows import replace, science_rows

FIRST, SECOND = "20240312", "20240313"
NIGHTS = f"{FIRST}..{SECOND}"
ALERTS = 60
BATCH = "g1-000000000"


def add_night(lake: Lake, night: str, first_id: int = 1, number: int = ALERTS, files: int = 3) -> pa.Table:
    """Write alerts into ``science`` and images of three quarters of them into ``cutouts``; gives the alerts."""
    every = np.arange(number)
    rows = replace(
        science_rows(lake, number, seed=first_id, night=night, first_id=first_id),
        roid=(every % 5).tolist(),
        finkclass=[None if i % 7 == 0 else ("SN candidate" if i % 3 else "Sy1") for i in every],
        tns=["SN Ia" if i % 10 == 0 else None for i in every],
        fink_status=[[("tns", "no_match" if i % 2 else "unavailable")] for i in every],
        prv_candidates=[None] * number,
        fp_hists=[None] * number,
        agn_score=(every / 100).tolist(),
        ingest={"batch": [BATCH] * number},
    )
    images = pa.table(
        {
            "alert_id": rows.column("candid"),
            "batch": [BATCH] * number,
            **{
                kind: [f"{kind}-{i + first_id}".encode() for i in every]
                for kind in ("science", "template", "difference")
            },
            "night": [night] * number,
        }
    )
    lake.append("cutouts", images.filter(pc.not_equal(pc.bit_wise_and(images.column("alert_id"), 3), 3)))
    size = -(-number // files)
    for begin in range(0, number, size):
        lake.append("science", rows.slice(begin, size))
    return rows


def add_nights(lake: Lake, number: int = ALERTS) -> pa.Table:
    """Write both nights; gives all alerts in the order of their ids."""
    return pa.concat_tables([add_night(lake, FIRST, 1, number), add_night(lake, SECOND, 1000, number)])
