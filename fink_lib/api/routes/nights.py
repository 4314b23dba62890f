"""``/api/v1/nights``: every night with its state and counts, and the whole summary of one."""

from __future__ import annotations

import csv
import io
from typing import Any

from starlette.responses import Response

from fink_lib.api.arguments import Argument
from fink_lib.api.endpoint import Call, Endpoint
from fink_lib.api.problems import ApiError, ArgumentFault
from fink_lib.nightly.view import describe_night

_HEAD = ("night", "state", "since", "reason")
_FROM = Argument("from", "First night, YYYYMMDD.", "night", example="20251101")
_TO = Argument("to", "Last night, that night included.", "night", example="20251130")
_NIGHT = Argument("night", "The night, YYYYMMDD.", "night", required=True, in_path=True, example="20251103")
_FORMAT = Argument("format", "json or csv (the counts alone, one line each).", "choice", False, "json", ("json", "csv"))


def nights(call: Call) -> list[dict[str, Any]]:
    """List nights, newest first."""
    first, last = call["from"] or "", call["to"] or "99999999"
    return [
        {
            **{name: night[name] for name in _HEAD},
            "counts": {name: count for name, count in night.items() if name not in _HEAD},
        }
        for night in call.stores.nights()
        if first <= night["night"] <= last
    ]


def summary(call: Call) -> dict[str, Any] | Response:
    """Give all that is known about one night."""
    settings, lake = call.stores.settings, call.stores.lake
    night = call["night"]
    if all(night not in lake.nights(table) for table in ("raw", "quarantine", "nights")):
        text = f"Nothing is known about night {night}.\n"
        raise ApiError("not-found", text, (ArgumentFault("night", "unknown"),), status=404)
    told = describe_night(settings, lake, night)
    if call["format"] == "csv":
        return Response(_counts_as_csv(told), media_type="application/csv")
    return told


def _counts_as_csv(told: dict[str, Any]) -> str:
    sink = io.StringIO()
    writer = csv.writer(sink)
    writer.writerow(("night", "table", "name", "count"))
    for table, counts in (told["summary"] or {}).items():
        if table in ("basic", "class", "filters"):
            writer.writerows((told["night"], table, name, count) for name, count in counts.items())
    for stage in told["ledger"]["stages"]:
        for side in ("left", "right"):
            table = f"{stage['stage']}.{side}"
            writer.writerows((told["night"], table, name, count) for name, count in stage[side].items())
    return sink.getvalue()


_EXAMPLE = {
    "night": "20251103",
    "state": "archived",
    "since": "2025-11-04T16:21:09+00:00",
    "reason": "",
    "counts": {"raw": 346644, "science": 201883, "rejected": 144760, "duplicates": 1, "quarantine": 3, "sent": 5120},
}

ENDPOINTS = (
    Endpoint("/api/v1/nights", "Every night with its state and counts, newest first", nights, (_FROM, _TO),
             example=[_EXAMPLE], tag="nights"),
    Endpoint("/api/v1/nights/{night}/summary", "Summary and ledger of one night", summary, (_NIGHT, _FORMAT),
             example={"night": "20251103", "state": "archived", "ledger": {"closed": True}}, tag="nights",
             refusals={404: "Nothing is known about this night"}),
)  # fmt: skip
