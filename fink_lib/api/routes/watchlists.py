"""``/api/v1/watchlists``: places that users watch, and the alerts that came from there."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.api.answer import Rows
from fink_lib.api.arguments import Argument
from fink_lib.api.endpoint import Answer, Call
from fink_lib.api.operation import Asked, Operation
from fink_lib.community import watchlists as lists
from fink_lib.community.drafts import VISIBILITIES
from fink_lib.community.positions import COLUMNS, MOST_NIGHTS, search
from fink_lib.community.watchlists import Watchlist

DEFAULT_NIGHTS = 7

_ID = Argument(
    "id", "Number of the watchlist.", "integer", required=True, in_path=True, least=1, most=2**31 - 1, example=1
)
_CONE = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "ra": {"type": "number", "minimum": 0, "maximum": 360},
        "dec": {"type": "number", "minimum": -90, "maximum": 90},
        "radius": {"type": "number", "minimum": 0.01, "maximum": lists.MOST_RADIUS_ARCSEC},
    },
    "required": ["ra", "dec", "radius"],
}
_NESTED = {
    "cones": {
        "type": "array",
        "items": _CONE,
        "maxItems": lists.MOST_PLACES,
        "description": "Circles: degrees (J2000), radius in arcseconds.",
        "example": [{"name": "M31", "ra": 10.6847, "dec": 41.269, "radius": 3600}],
    },
    "objects": {
        "type": "array",
        "items": {"type": "string"},
        "maxItems": lists.MOST_PLACES,
        "description": "Names of objects.",
        "example": ["ZTF21abiuvdk"],
    },
    "moc": {
        "type": ["object", "string"],
        "description": 'A region as a multi-order coverage map: `{"5": [8, 9]}` or `5/8-9`.',
    },
}
_SAID = (
    Argument("name", "What it is called.", required=True, example="My galaxies"),
    Argument("description", "For people.", default=None),
    Argument("visibility", "`public`, or `private`: only you see it.", "choice", default="private",
             choices=VISIBILITIES),
)  # fmt: skip
_MISSING = {404: "There is no such watchlist, or it is not yours to see"}
_EXAMPLE = {"id": 1, "name": "My galaxies", "version": 1, "owner": "ann", "cones": 1, "objects": 1, "region": False}


def listed(call: Call) -> list[dict[str, Any]]:
    """List watchlists."""
    assert isinstance(call, Asked)
    return [_outline(one) for one in lists.visible(call.stores.community, call.caller)]


def one(call: Call) -> dict[str, Any]:
    """Tell all about one watchlist."""
    assert isinstance(call, Asked)
    found = lists.find(call.stores.community, call["id"], call.caller)
    return {**_whole(found), "predicate": lists.predicate_of(found, call.stores.lake.survey)}


def create(call: Call) -> dict[str, Any]:
    """Keep a new watchlist."""
    assert isinstance(call, Asked)
    wanted = lists.read_wanted({**call.arguments, **call.body})
    return _whole(lists.create(call.stores.community, wanted, call.who, datetime.now(UTC)))


def change(call: Call) -> dict[str, Any]:
    """Keep a new version."""
    assert isinstance(call, Asked)
    wanted = lists.read_wanted({**call.arguments, **call.body})
    return _whole(lists.change(call.stores.community, call["id"], wanted, call.who, datetime.now(UTC)))


def delete(call: Call) -> dict[str, Any]:
    """Take a watchlist away."""
    assert isinstance(call, Asked)
    lists.delete(call.stores.community, call["id"], call.who, datetime.now(UTC))
    return {"id": call["id"], "state": "deleted"}


def matches(call: Call) -> Answer:
    """Give the alerts that came from the places of a watchlist."""
    assert isinstance(call, Asked)
    lake = call.stores.lake
    watchlist = lists.find(call.stores.community, call["id"], call.caller)
    nights = nights_between(call, sorted(lake.nights("science")), DEFAULT_NIGHTS)
    found = search(lake, watchlist.places, nights, call["offset"] + call["limit"])
    names = pa.array(watchlist.places.names, pa.string())
    watched = names.take(pc.fill_null(found.table.column("v:place").combine_chunks(), 0))
    table = found.table.append_column("v:watched", watched).drop_columns(["v:place"])
    order = [("i:jd", "descending"), ("i:candid", "descending"), ("v:watched", "ascending")]
    return Rows(table.sort_by(order), {"Fink-Continue": found.left} if found.left else {})


def nights_between(call: Call, known: list[str], default: int) -> list[str]:
    """Give the nights that a request asks for, the newest few if it says nothing."""
    last = call["continue"] or call["to"] or "99999999"
    if call["from"]:
        return [night for night in known if call["from"] <= night <= last][-MOST_NIGHTS:]
    return [night for night in known if night <= last][-default:]


def range_arguments(default: str) -> tuple[Argument, ...]:
    """Give the arguments of a range of nights."""
    return (
        Argument("from", f"First night, YYYYMMDD; {default} if not given.", "night", example="20251101"),
        Argument("to", "Last night, that night included.", "night", example="20251130"),
        Argument("continue", "Go on where an answer ended: what its header `Fink-Continue` said.", "night"),
    )


def _outline(one: Watchlist) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": one.name,
        "description": one.description,
        "visibility": one.visibility,
        "owner": one.owner,
        "version": one.version,
        "changed": one.created,
        "cones": len(one.places.cones),
        "objects": len(one.places.objects),
        "region": bool(one.places.region),
    }


def _whole(one: Watchlist) -> dict[str, Any]:
    cones = [{"name": c.name, "ra": c.ra, "dec": c.dec, "radius": c.radius} for c in one.places.cones]
    # ranges of the deepest order: whoever sends them back gets the same region
    moc = " ".join(f"{begin}-{end - 1}" for begin, end in one.places.region)
    return {**_outline(one), "cones": cones, "objects": list(one.places.objects), "moc": f"29/{moc}" if moc else ""}


ENDPOINTS = (
    Operation("/api/v1/watchlists", "Watchlists that you may see, the newest first", listed, method="GET",
              tag="watchlists", example=[_EXAMPLE]),
    Operation("/api/v1/watchlists", "Watch cones, objects or a region", create, _SAID, method="POST",
              scope="watchlist", nested=_NESTED, success=201, tag="watchlists", example=_EXAMPLE,
              refusals={409: "You have too many watchlists"}),
    Operation("/api/v1/watchlists/{id}", "One watchlist with all that it watches", one, (_ID,), method="GET",
              tag="watchlists", example=_EXAMPLE, refusals=_MISSING),
    Operation("/api/v1/watchlists/{id}", "Write a watchlist anew", change, (_ID, *_SAID), method="PUT",
              scope="watchlist", nested=_NESTED, tag="watchlists", example=_EXAMPLE, refusals=_MISSING),
    Operation("/api/v1/watchlists/{id}", "Delete a watchlist", delete, (_ID,), method="DELETE", scope="watchlist",
              tag="watchlists", example={"id": 1, "state": "deleted"}, refusals=_MISSING),
    Operation(
        "/api/v1/watchlists/{id}/matches", "Alerts from the places of a watchlist, the newest first", matches,
        (_ID, *range_arguments(f"the newest {DEFAULT_NIGHTS}")), method="GET", tabular=True, tag="watchlists",
        example=[{**dict.fromkeys(COLUMNS), "i:objectId": "ZTF21abiuvdk", "v:separation_degree": 0.01,
                  "v:watched": "M31"}],
        refusals={**_MISSING, 413: "There are too many matches"},
    ),
)  # fmt: skip
