"""``/api/v1/objects``: all alerts of one or several objects, newest first."""

from __future__ import annotations

from fink_lib.api.alerts import find_objects
from fink_lib.api.arguments import MAX_ROWS, Argument
from fink_lib.api.column_sets import tells_evolution
from fink_lib.api.endpoint import Answer, Call, Endpoint
from fink_lib.api.images import MOST_ALERTS, page_with_images
from fink_lib.api.listing import NULLS, alert_rows, wanted_with
from fink_lib.api.points import KEY, with_points
from fink_lib.api.stamps import KINDS

ARGUMENTS = (
    Argument(
        "objectId",
        "Name of the object, or several separated by commas. Exact names only.",
        "list",
        required=True,
        example="ZTF21abiuvdk",
    ),
    Argument("withupperlim", "True adds upper limits and points of bad quality from the alerts' histories; `d:tag` "
             "tells which is which.", "boolean", default=False),
    Argument("withcutouts", f"Images as lists of rows of pixels, of the first {MOST_ALERTS} alerts of the answer.",
             "boolean", default=False),
    Argument("cutout-kind", "Which image, Science, Template or Difference; all three by default.", "choice",
             choices=tuple(KINDS)),
    NULLS,
)  # fmt: skip

EXAMPLE = [
    {
        "i:objectId": "ZTF21abiuvdk",
        "i:candid": 1642345678915015000,
        "i:jd": 2459397.8456,
        "i:ra": 279.1234567,
        "i:dec": 20.7654321,
        "i:magpsf": 18.42,
        "i:fid": 1,
        "d:cdsxmatch": "Unknown",
        "d:roid": 0,
        "v:classification": "SN candidate",
        "v:source": "archive",
    }
]


def objects(call: Call) -> Answer:
    """Give the alerts of the objects asked for."""
    wanted = wanted_with(call)
    # a rate needs the alert before, which may lie beyond the rows asked for
    most = max(call["offset"] + call["limit"], MAX_ROWS if tells_evolution(wanted) else 0)
    read = wanted if wanted is None or not call["withupperlim"] else (*wanted, *KEY)
    found = find_objects(call.stores, call["objectId"], most, read)
    rows = alert_rows(call, found, "full", evolution=True)
    if call["withupperlim"]:
        rows = with_points(call.stores, call["objectId"], rows, found)
    return page_with_images(call, rows) if call["withcutouts"] else rows


ENDPOINTS = (
    Endpoint(
        "/api/v1/objects",
        "Alerts of one or several objects, as the survey sent them and with what the broker added",
        objects,
        ARGUMENTS,
        example=EXAMPLE,
        compatible=True,
        tabular=True,
    ),
)
