"""``/api/v1/why/{candid}``: where one alert came from, what was made of it, and where it went."""

from __future__ import annotations

from typing import Any

from fink_lib.api.arguments import Argument
from fink_lib.api.endpoint import Call, Endpoint
from fink_lib.api.problems import ApiError, ArgumentFault
from fink_lib.provenance import trace

LARGEST_ID = 2**63 - 1
_EXAMPLE = {
    "alert_id": 1642345678915015000,
    "outcome": "science",
    "received": [{"topic": "ztf_20251103_programid1", "partition": 3, "offset": 4711, "fate": "science"}],
    "filters": [{"name": "sso_ztf_candidates", "version": "1", "passes": True, "sent": [{"offset": 12}]}],
}


def why(call: Call) -> dict[str, Any]:
    """Trace one alert."""
    candid = call["candid"]
    told = trace(call.stores.lake, candid, call.stores.definitions)
    if told is None:
        text = f"No message with id {candid} was ever received.\n"
        raise ApiError("not-found", text, (ArgumentFault("candid", "unknown"),), status=404)
    return told


ENDPOINTS = (
    Endpoint(
        "/api/v1/why/{candid}",
        "Provenance of one alert: offsets, digests, versions, class rule, filters, messages",
        why,
        (
            Argument(
                "candid",
                "Id of the alert.",
                "integer",
                required=True,
                in_path=True,
                least=0,
                most=LARGEST_ID,
                example=1642345678915015000,
            ),
        ),
        example=_EXAMPLE,
        refusals={404: "No message with this id was ever received"},
    ),
)
