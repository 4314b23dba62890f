"""``/api/v1/xmatch``: alerts near the sources of a table that the client brings."""

from __future__ import annotations

import pyarrow as pa

from fink_lib.api.answer import Rows
from fink_lib.api.arguments import Argument
from fink_lib.api.endpoint import Answer, Call
from fink_lib.api.operation import Asked, Operation
from fink_lib.api.routes.watchlists import nights_between, range_arguments
from fink_lib.community.positions import COLUMNS, MOST_SOURCES, read_sources, search
from fink_lib.community.refusals import refuse_argument

MOST_BYTES = 5 * 1024 * 1024
MOST_RADIUS_ARCSEC = 300.0

_FILE = {
    "type": "string",
    "description": f"CSV with a header line: up to {MOST_SOURCES} sources, {MOST_BYTES >> 20} MB.",
    "example": "name,ra,dec\nM31,10.6847,41.269\n",
}


def xmatch(call: Call) -> Answer:
    """Give the alerts near some sources."""
    assert isinstance(call, Asked)
    file = call.body["file"]
    if isinstance(file, bytes):  # out of a form
        file = file.decode("utf-8", errors="replace")
    if not isinstance(file, str):
        raise refuse_argument("file", "must be the text of a CSV file")
    lake = call.stores.lake
    sources = read_sources(file, call["ra"], call["dec"], call["id"], call["radius"])
    nights = nights_between(call, sorted(lake.nights("science")), 1)
    found = search(lake, sources, nights, call["offset"] + call["limit"])
    names = pa.array(sources.names, pa.string()).take(found.table.column("v:place").combine_chunks())
    table = found.table.append_column("v:source", names)
    order = [("v:place", "ascending"), ("v:separation_degree", "ascending"), ("i:candid", "ascending")]
    table = table.sort_by(order).drop_columns(["v:place"])
    return Rows(table, {"Fink-Continue": found.left} if found.left else {})


ENDPOINTS = (
    Operation(
        "/api/v1/xmatch", "Alerts near the sources of a table, source by source, the nearest first", xmatch,
        (
            Argument("ra", "Its column of right ascension (degrees, J2000).", default="ra"),
            Argument("dec", "Its column of declination (degrees, J2000).", default="dec"),
            Argument("id", "Its column of names; sources are counted from 0 without.", default="", example="name"),
            Argument("radius", "How near an alert must be (arcseconds).", "number", default=1.5, least=0.01,
                     most=MOST_RADIUS_ARCSEC),
            *range_arguments("the newest night alone"),
        ),
        method="POST", scope="transfer", nested={"file": _FILE}, needed=("file",), most_bytes=MOST_BYTES, tabular=True,
        tag="transfers",
        example=[{**dict.fromkeys(COLUMNS), "i:objectId": "ZTF21abiuvdk", "v:separation_degree": 0.0001,
                  "v:source": "M31"}],
    ),
)  # fmt: skip
