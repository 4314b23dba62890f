"""Small ZTF alerts made by hand: only what a test is about differs from the defaults."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from fink_lib.surveys import get_survey

JD = 2_459_000.5

POINT = {
    "jd": JD,
    "fid": 1,
    "candid": 1,
    "pid": 1,
    "ra": 150.0,
    "dec": 2.0,
    "magpsf": 18.0,
    "sigmapsf": 0.1,
    "diffmaglim": 20.5,
}

CANDIDATE = POINT | {
    "ndethist": 5,
    "jdstarthist": JD - 10,
    "sgscore1": 0.9,
    "distpsnr1": 20.0,
    "ssdistnr": -999.0,
    "drb": 0.9,
    "classtar": 0.9,
    "isdiffpos": "t",
}


def alert(candid: int = 1, previous: list[dict[str, Any]] | None = None, **candidate: Any) -> dict[str, Any]:
    """Give an alert; `candidate` overrides the defaults of its own measurement."""
    return {
        "candid": candid,
        "objectId": "ZTF20aaaaaaa",
        "schemavsn": "4.02",
        "publisher": "test",
        "candidate": CANDIDATE | {"candid": candid, "pid": candid} | candidate,
        "prv_candidates": previous,
    }


def detection(days_before: float, **values: Any) -> dict[str, Any]:
    """Give an earlier detection."""
    return POINT | {"jd": JD - days_before} | values


def limit(days_before: float, **values: Any) -> dict[str, Any]:
    """Give an earlier upper limit."""
    return detection(days_before, magpsf=None, sigmapsf=None, candid=None, **values)


def table(alerts: list[dict[str, Any]]) -> pa.Table:
    """Give alerts as the survey's table."""
    return pa.Table.from_pylist(alerts, schema=get_survey("ztf").alert_schema)
