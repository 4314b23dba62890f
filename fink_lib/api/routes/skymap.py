"""``/api/v1/skymap``: objects that appeared in the region of a gravitational-wave event, around its time."""

from __future__ import annotations

import re

import pyarrow as pa

from fink_lib.api.alerts import Found
from fink_lib.api.answer import Rows
from fink_lib.api.arguments import MAX_ROWS, Argument
from fink_lib.api.endpoint import Call, Endpoint
from fink_lib.api.listing import CONTINUE, NULLS, alert_rows, needed_for, rows_to_read
from fink_lib.api.problems import ApiError, ArgumentFault, bad_argument, missing_argument
from fink_lib.api.regions import find_in_region, read_region
from fink_lib.api.search import all_of, between
from fink_lib.archive.sky import PIXELS

TIME_COLUMN = "v:jdstartgw"
MOST_DAYS = 100
_EVENT = re.compile(r"[A-Z]{1,3}[0-9]{6}[a-z]{1,5}")

ARGUMENTS = (
    Argument("event_name", "Name of the event at GraceDB, a service outside.", example="S230709bi"),
    Argument("bayestar", "Its sky map (gzipped FITS): an uploaded part, base64, or the text of Python bytes.", "file"),
    Argument("file", "Another name of `bayestar`.", "file"),
    Argument("credible_level", "Share of the probability that the region holds, 0 to 1.", "number", required=True,
             least=0, most=1, example=0.2),
    Argument("n_day_before", "Days before the event.", "number", default=1, least=0, most=MOST_DAYS),
    Argument("n_day_after", "Days after the event.", "number", default=6, least=0, most=MOST_DAYS),
    CONTINUE,
    NULLS,
)  # fmt: skip


def skymap(call: Call) -> Rows:
    """Give the objects inside the region whose first detection and alert are near the event in time."""
    region = read_region(_file(call), call["credible_level"])
    window = region.jd - call["n_day_before"], region.jd + call["n_day_after"]
    tests = [between(*window, "i:jdstarthist"), between(*window, "i:jd")]
    needed = {*(needed_for(call, "light") or ()), "i:objectId", "i:ra", "i:dec", "i:jdstarthist"}
    most = rows_to_read(call, MAX_ROWS + call["offset"])
    found = find_in_region(call.stores, region, lambda rows: all_of(tests, rows), most, needed, _first_pixel(call))
    time = pa.array([region.jd] * found.table.num_rows, pa.float64())
    found = Found(found.table.append_column(TIME_COLUMN, time), found.total, found.sources, found.resume)
    return alert_rows(call, found, "light", (TIME_COLUMN,), added=(TIME_COLUMN,))


def _file(call: Call) -> bytes:
    file = call["bayestar"] or call["file"]
    if file:
        return bytes(file)
    event = call["event_name"]
    if not event:
        raise missing_argument("event_name")
    if not _EVENT.fullmatch(event):
        raise bad_argument("event_name", "must be the name of an event, such as S230709bi")
    url = f"{call.stores.settings.catalogs.gracedb_url}/superevents/{event}/files/bayestar.fits.gz"
    found = call.stores.outside.fetch("GraceDB", url)
    if found is None:
        text = f"GraceDB has no sky map of {event}.\n"
        raise ApiError("bad-argument", text, (ArgumentFault("event_name", "no sky map"),))
    return found


def _first_pixel(call: Call) -> int:
    text = call["continue"]
    if not text:
        return 0
    if not text.isdecimal() or len(text) > 6 or int(text) >= PIXELS:
        raise bad_argument("continue", "must be what the header `Fink-Continue` of an answer said")
    return int(text)


ENDPOINTS = (
    Endpoint(
        "/api/v1/skymap",
        "Objects that appeared in the region of a gravitational-wave event, around its time",
        skymap,
        ARGUMENTS,
        example=[{"i:objectId": "ZTF23aaqxbsk", "d:classification": "Unknown", TIME_COLUMN: 2460134.64}],
        compatible=True,
        tabular=True,
        refusals={413: "The sky map is too large"},
    ),
)
