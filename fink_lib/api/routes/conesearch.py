"""``/api/v1/conesearch``: the objects around a place, nearest first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fink_lib.api.answer import Rows
from fink_lib.api.arguments import MAX_ROWS, Argument
from fink_lib.api.column_sets import SEPARATION_COLUMN
from fink_lib.api.cones import Cone, find_in_cone
from fink_lib.api.endpoint import Call, Endpoint
from fink_lib.api.listing import NULLS, alert_rows, needed_for, rows_to_read
from fink_lib.api.places import MOST_ARCSEC, read_position, read_radius
from fink_lib.api.problems import bad_argument, missing_argument
from fink_lib.api.search import between

ALWAYS = ("i:ra", "i:dec", SEPARATION_COLUMN)
SMALL_ARCSEC = 600.0
FIRST_SEEN, SEEN = "i:jdstarthist", "i:jd"

ARGUMENTS = (
    Argument("ra", "Right ascension: degrees, `10h20m30s` or `10:20:30`.", required=True, example="249.73"),
    Argument("dec", "Declination: degrees, `-3d04m05s` or `-3:04:05`.", required=True, example="50.43"),
    Argument("radius", f"Radius in arcseconds, up to {MOST_ARCSEC:g}.", "number", required=True, example=60),
    Argument("n", "How many objects at most; the nearest ones.", "integer", default=1000, least=0, most=MAX_ROWS),
    Argument("startdate", "Objects first seen from this date on (UTC): ISO, JD or MJD.", "date"),
    Argument("stopdate", "Objects first seen before this date.", "date"),
    Argument("window", "Days from `startdate` on, instead of `stopdate`.", "number", least=0, most=100_000),
    Argument("date-mode", "`first`: dates are those of the object's first detection; `any`: those of alerts, and the "
             "newest between them is shown.", "choice", default="first", choices=("first", "any")),
    NULLS,
)  # fmt: skip


def conesearch(call: Call) -> Rows:
    """Give the objects of a cone."""
    cone = Cone(*read_position(call["ra"], call["dec"]), read_radius(call["radius"]))
    any_alert = call["date-mode"] == "any"
    test = between(*_dates(call), SEEN if any_alert else FIRST_SEEN)
    needed = {*(needed_for(call, "light", ALWAYS) or ()), "i:objectId", FIRST_SEEN}
    found = find_in_cone(call.stores, cone, rows_to_read(call, call["n"]), needed, test, any_alert)
    rows = alert_rows(call, found, "light", ALWAYS, added=(SEPARATION_COLUMN,))
    if found.total <= call["n"]:
        return rows
    told = f"the nearest {call['n']} of {found.total} objects; use n"
    return replace(rows, headers={"Fink-Truncated": told, **rows.headers}, total=call["n"])


def _dates(call: Call) -> tuple[float | None, float | None]:
    low, high, window = call["startdate"], call["stopdate"], call["window"]
    if window is not None:
        if low is None:
            raise missing_argument("startdate")
        high = low + window
    if low is not None and high is not None and low > high:
        raise bad_argument("startdate", "must not be after `stopdate`")
    return low, high


def is_large(given: Mapping[str, Any]) -> bool:
    """Tell whether a cone is so large that reading it takes long."""
    try:
        return not float(given.get("radius", 0)) <= SMALL_ARCSEC
    except (TypeError, ValueError):
        return False  # it will be refused


ENDPOINTS = (
    Endpoint(
        "/api/v1/conesearch",
        "The objects around a place, nearest first, one row each",
        conesearch,
        ARGUMENTS,
        example=[
            {"i:objectId": "ZTF21abiuvdk", "i:ra": 349.23, "i:dec": 10.6, SEPARATION_COLUMN: 0.0003, "v:source": "lake"}
        ],
        compatible=True,
        tabular=True,
        slow=is_large,
    ),
)
