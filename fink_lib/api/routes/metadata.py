"""``/api/v1/metadata``: names and comments that people give to objects."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
from starlette.responses import Response

from fink_lib.api.answer import Rows
from fink_lib.api.arguments import Argument
from fink_lib.api.endpoint import Answer, Call
from fink_lib.api.operation import Asked, Operation
from fink_lib.api.problems import missing_argument
from fink_lib.community.names import find_namings, keep_naming, portal_url, read_naming

COLUMNS = ("i:objectId", "d:internal_name", "d:internal_name_encoded", "d:comments", "d:username")
HISTORY = (*COLUMNS, "d:owner", "d:timestamp")
BY = ("objectId", "internal_name", "internal_name_encoded")


def read(call: Call) -> Answer:
    """Give what was said of an object, or all."""
    if not call.given & set(BY):
        raise missing_argument("objectId")
    object_id = "" if call["objectId"] == "all" else call["objectId"]
    found = find_namings(
        call.stores.community, object_id, call["internal_name"], call["internal_name_encoded"], call["history"]
    )
    columns = HISTORY if call["history"] else COLUMNS
    return Rows(pa.table({name: pa.array([row[name] for row in found], pa.string()) for name in columns}))


def write(call: Call) -> Answer:
    """Keep what is said of an object."""
    assert isinstance(call, Asked)
    naming = read_naming(call["objectId"], call["internal_name"], call["username"], call["comments"])
    keep_naming(call.stores.community, naming, call.who, datetime.now(UTC))
    call.stores.jobs.wake()  # the archive has a copy
    api = call.stores.settings.api
    url = portal_url(api.public_url or f"http://{api.host}:{api.port}", naming)
    return Response(f"Thanks {naming.username} - You can visit {url}", media_type="text/plain")


_EXAMPLE = {
    "i:objectId": "ZTF21abiuvdk",
    "d:internal_name": "My first supernova",
    "d:internal_name_encoded": "Myfirstsupernova",
    "d:comments": "rises fast",
    "d:username": "Ann",
}

ENDPOINTS = (
    Operation(
        "/api/v1/metadata",
        "Names and comments that people gave to objects",
        read,
        (
            Argument("objectId", "Name of the object; `all` for all.", default="", example="ZTF21abiuvdk"),
            Argument("internal_name", "The name that it was given.", default=""),
            Argument("internal_name_encoded", "The same without blanks.", default=""),
            Argument("history", "True gives what was said earlier too, with owner and time.", "boolean", default=False),
        ),
        method="GET",
        compatible=True,
        tabular=True,
        tag="community",
        example=[_EXAMPLE],
    ),
    Operation(
        "/api/v1/metadata",
        "Give an object a name and comments",
        write,
        (
            Argument("objectId", "Name of the object.", required=True, example="ZTF21abiuvdk"),
            Argument("internal_name", "The name that it gets.", required=True, example="My first supernova"),
            Argument("username", "Your name, as it is shown.", required=True, example="Ann"),
            Argument("comments", "Anything else.", default="", example="rises fast"),
        ),
        method="POST",
        scope="metadata",
        compatible=True,
        tag="community",
        media_type="text/plain",
        refusals={409: "Another object has this name"},
    ),
)
