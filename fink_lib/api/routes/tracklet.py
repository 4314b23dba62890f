"""``/api/v1/tracklet``: the alerts of trails that fast objects leave in one night."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.api.alerts import Bools
from fink_lib.api.answer import Rows
from fink_lib.api.arguments import MAX_ROWS, Argument
from fink_lib.api.endpoint import Call, Endpoint
from fink_lib.api.listing import NULLS, alert_rows, needed_for, rows_to_read
from fink_lib.api.problems import ApiError, ArgumentFault, bad_argument
from fink_lib.api.scans import Scan
from fink_lib.api.search import Search, find_newest

_NAME = re.compile(r"TRCK_[0-9]{8}(_([0-9]{0,6}|[0-9]{6}_[0-9]{0,2}))?")


def tracklet(call: Call) -> Rows:
    """Give the alerts of the tracklets whose names begin as asked."""
    begins = _name(call)

    def live(index: pa.Table) -> Bools:
        passed: Bools = pc.fill_null(pc.starts_with(index.column("d:tracklet"), begins), False).to_numpy()
        return passed

    search = Search("ztf.tracklet", [Scan(begins=begins, timed=False)], live)
    found = find_newest(call.stores, search, rows_to_read(call, MAX_ROWS + call["offset"]), needed_for(call, "index"))
    return alert_rows(call, found, "index")


def _name(call: Call) -> str:
    if call["id"]:
        name = call["id"]
    elif call["date"]:
        name = "TRCK_" + re.sub("[-:]", "", call["date"]).replace("T", " ").replace(" ", "_")
    else:
        text = "You need to specify a date at the format YYYY-MM-DD hh:mm:ss\n"
        raise ApiError("missing-argument", text, (ArgumentFault("date", "required"),))
    if not _NAME.fullmatch(name):
        raise bad_argument("id" if call["id"] else "date", "must be a night at least: TRCK_YYYYMMDD or YYYY-MM-DD")
    return str(name)


ENDPOINTS = (
    Endpoint(
        "/api/v1/tracklet",
        "The alerts of trails that fast objects leave in one night",
        tracklet,
        (
            Argument("date", "When: YYYY-MM-DD, or that and hh:mm:ss or its beginning.", example="2021-10-22 09:19:49"),
            Argument("id", "Name of the tracklet, or its beginning: TRCK_YYYYMMDD[_HHMMSS[_NN]]."),
            NULLS,
        ),
        example=[{"i:objectId": "ZTF21acqhvsn", "d:tracklet": "TRCK_20211022_091949_00", "v:source": "archive"}],
        compatible=True,
        tabular=True,
    ),
)
