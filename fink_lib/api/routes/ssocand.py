"""``/api/v1/ssocand``: asteroid candidates, their orbits and the points of their light curves."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.api.answer import Rows
from fink_lib.api.arguments import MAX_ROWS, Argument
from fink_lib.api.endpoint import Call, Endpoint
from fink_lib.api.problems import bad_argument
from fink_lib.api.scans import MOST_SCANNED
from fink_lib.errors import TransientError

TABLES = {"orbParams": "ztf.orb_cand", "lightcurves": "ztf.sso_cand"}
ORBITS = "cand"
"""First part of the key of every orbit."""
CANDIDATE = "d:ssoCandId"
LARGEST_ID = 2**63 - 1

ARGUMENTS = (
    Argument("kind", "orbParams (orbits) or lightcurves (points).", "choice", True, choices=tuple(TABLES),
             example="orbParams"),
    Argument("ssoCandId", "One candidate.", "integer", least=0, most=LARGEST_ID),
    Argument("start_date", "Points from this date on (UTC): ISO, JD or MJD.", "date"),
    Argument("stop_date", "Points before this date.", "date"),
    Argument("maxnumber", "How many rows at most.", "integer", default=MAX_ROWS, least=0, most=MAX_ROWS),
)  # fmt: skip


def ssocand(call: Call) -> Rows:
    """Give orbits or points of candidates; none as long as nobody has linked any."""
    low, high = call["start_date"], call["stop_date"]
    if low is not None and high is not None and low > high:
        raise bad_argument("start_date", "must not be after `stop_date`")
    table = TABLES[call["kind"]]
    parts, kept, scanned = [call.stores.empty_archive_rows(table)], 0, 0
    try:
        with call.stores.archive(table).borrow() as (_, reader):
            found: Iterator[pa.Table] = (
                reader.read(ORBITS) if call["kind"] == "orbParams" else reader.read(low=low, high=high)
            )
            for chunk in found:
                scanned += chunk.num_rows
                if call["ssoCandId"] is not None:
                    chunk = chunk.filter(pc.equal(chunk.column(CANDIDATE), call["ssoCandId"]))
                parts.append(chunk)
                kept += chunk.num_rows
                if kept >= call["maxnumber"] or scanned >= MOST_SCANNED:
                    break
    except TransientError:
        if call.stores.archived_nights():
            raise
    return Rows(pa.concat_tables(parts, promote_options="permissive").slice(0, call["maxnumber"]))


ENDPOINTS = (
    Endpoint(
        "/api/v1/ssocand",
        "Asteroid candidates: orbits, or points of light curves",
        ssocand,
        ARGUMENTS,
        example=[{"d:ssoCandId": 7, "d:a": 2.31, "d:e": 0.12, "d:i": 5.4}],
        compatible=True,
        tabular=True,
    ),
)
