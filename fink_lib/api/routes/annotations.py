"""``/api/v1/annotate``, ``/annotations`` and ``/consensus``: what annotators and people say about objects."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from fink_lib.api.arguments import MAX_ROWS, Argument
from fink_lib.api.endpoint import Call
from fink_lib.api.operation import Asked, Operation
from fink_lib.community.annotations import COMMUNITY, FIELDS, add_annotations, list_annotations, read_annotations, votes
from fink_lib.community.consensus import find_consensus
from fink_lib.community.fields import read_name, read_object_id

MOST_BYTES = 4 * 1024 * 1024
MOST_OBJECTS = 100

_EXAMPLE = {
    "topic": "fast_finder",
    "objectId": "ZTF21abiuvdk",
    "classification": "Kilonova",
    "version": "0.3",
    "explanation": "fades by 0.4 mag a day in g",
    "classdict": {"Kilonova": 0.91, "SN Ia": 0.05},
    "url": "https://example.org/ZTF21abiuvdk",
    "source": "fast_finder on the alert stream",
    "citation": "10.5281/zenodo.0000000",
}
_ONE = {
    "type": "object",
    "properties": {
        **{name: {"type": "string"} for name in FIELDS if name != "classdict"},
        "classdict": {"type": ["object", "string"]},
    },
    "required": ["topic", "objectId", "classification"],
    "example": _EXAMPLE,
}
_OBJECTS = f"Name of the object, or up to {MOST_OBJECTS} separated by commas."
_TOLD = {**_EXAMPLE, "annotationID": 17, "owner": "ann", "timestamp": "2025-11-03T04:05:06+00:00", "latest": True}


def annotate(call: Call) -> dict[str, Any]:
    """Keep annotations."""
    assert isinstance(call, Asked)
    sent = read_annotations(call.body)
    new = add_annotations(call.stores.community, sent, call.who, datetime.now(UTC))
    return {"status": "success", "annotations": len(sent), "new": new}


def listed(call: Call) -> list[dict[str, Any]]:
    """List annotations."""
    topic = read_name("topic", call["topic"]) if call["topic"] else ""
    found = [read_object_id("objectId", name) for name in call["objectId"][:MOST_OBJECTS]]
    return list_annotations(call.stores.community, "ztf", found, topic, call["history"], call["limit"], call["offset"])


def consensus(call: Call) -> list[dict[str, Any]]:
    """Say what people agree on."""
    told = []
    for name in call["objectId"][:MOST_OBJECTS]:
        name = read_object_id("objectId", name)
        told.append({"objectId": name, **asdict(find_consensus(votes(call.stores.community, name)))})
    return told


ENDPOINTS = (
    Operation(
        "/api/v1/annotate",
        "Say something about one object or several, in Lasair's shape",
        annotate,
        method="POST",
        scope="annotate",
        tag="community",
        body_schema={"anyOf": [_ONE, {"type": "array", "items": _ONE, "minItems": 1}]},
        most_bytes=MOST_BYTES,
        example={"status": "success", "annotations": 1, "new": 1},
    ),
    Operation(
        "/api/v1/annotations",
        f"What annotators say, the newest first; topic `{COMMUNITY}` is everybody's",
        listed,
        (
            Argument("objectId", _OBJECTS, "list", default=(), example="ZTF21abiuvdk"),
            Argument("topic", "Of this annotator alone.", default=""),
            Argument("history", "True gives superseded annotations too.", "boolean", default=False),
            Argument("limit", "Most annotations of the answer.", "integer", False, 1000, (), 0, MAX_ROWS),
            Argument("offset", "Annotations to leave out first.", "integer", False, 0, (), 0, 10**9),
        ),
        method="GET",
        tag="community",
        example=[_TOLD],
    ),
    Operation(
        "/api/v1/consensus",
        "What people agree on: one vote for each person and object",
        consensus,
        (Argument("objectId", _OBJECTS, "list", required=True, example="ZTF21abiuvdk"),),
        method="GET",
        tag="community",
        example=[
            {
                "objectId": "ZTF21abiuvdk",
                "votes": 3,
                "shares": [{"classification": "SN Ia", "votes": 2, "share": 0.667, "owners": ["ann", "bob"]}],
                "classification": "SN Ia",
                "agreement": 0.42,
            }
        ],
    ),
)
