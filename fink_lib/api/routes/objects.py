"""``/api/v1/objects``: all alerts of one or several objects, newest first."""

from __future__ import annotations

from fink_lib.api.alerts import find_objects, known_columns, rendered, tells_evolution
from fink_lib.api.answer import Rows, wanted_columns
from fink_lib.api.arguments import MAX_ROWS, Argument
from fink_lib.api.endpoint import Answer, Call, Endpoint

ARGUMENTS = (
    Argument(
        "objectId",
        "Name of the object, or several separated by commas. Exact names only.",
        "list",
        required=True,
        example="ZTF21abiuvdk",
    ),
    Argument("withupperlim", "Accepted; upper limits are not served yet (header `Fink-Ignored-Args`).", "boolean",
             default=False),
    Argument("withcutouts", "Accepted; images are not served yet (header `Fink-Ignored-Args`).", "boolean",
             default=False),
    Argument("nulls", "`fink`: Fink's values where nothing was found, null where nobody knows; `strict`: null for both "
             "(`d:fink_status` tells which).", "choice", default="fink", choices=("fink", "strict")),
)  # fmt: skip
NOT_YET = ("withupperlim", "withcutouts")
"""Arguments that clients send and that change nothing yet; the answer says so."""

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
    wanted = wanted_columns(call["columns"])
    # a rate needs the alert before, which may lie beyond the rows asked for
    most = max(call["offset"] + call["limit"], MAX_ROWS if tells_evolution(wanted) else 0)
    found = find_objects(call.stores, call["objectId"], most, wanted)
    headers = {"Fink-Sources": ", ".join(f"{place}={count}" for place, count in sorted(found.sources.items()))}
    table = rendered(found.table, call["nulls"] == "strict", wanted)
    ignored = [name for name in NOT_YET if call[name]]
    return Rows(table, headers, found.total, known_columns(call.stores), ignored)


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
