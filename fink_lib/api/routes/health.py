"""``/health``: is each part of the installation there? For people, probes and load balancers."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import Response

from fink_lib.api.endpoint import Call, Endpoint
from fink_lib.api.health import API_NEEDS, healthy

_EXAMPLE = {
    "status": "ok",
    "dependencies": {
        "kafka": {"state": "up", "age_s": 0.0, "detail": "1 broker(s) at 127.0.0.1:29092"},
        "ztf.stream2raw": {"state": "running", "age_s": 1.2, "detail": "", "lag": 0, "rows_s": 612.0},
    },
}
_UNHEALTHY = {503: "A part is down"}


def everything(call: Call) -> Response:
    """Ask every part."""
    return _answer(call.stores.probes.ask(call.stores.probes.names))


def ready(call: Call) -> Response:
    """Ask the parts that the API itself needs."""
    return _answer(call.stores.probes.ask(API_NEEDS))


def live(_: Call) -> dict[str, Any]:
    """Say that this process answers."""
    return {"status": "ok"}


def _answer(parts: dict[str, dict[str, Any]]) -> Response:
    good = healthy(parts)
    body = {"status": "ok" if good else "unhealthy", "dependencies": parts}
    return Response(json.dumps(body), 200 if good else 503, media_type="application/json")


ENDPOINTS = (
    Endpoint("/health", "State and age of every service and stream, and each stream's lag", everything,
             example=_EXAMPLE, tag="operations", refusals=_UNHEALTHY),
    Endpoint("/health/live", "Whether this process answers", live, example={"status": "ok"}, tag="operations"),
    Endpoint("/health/ready", "Whether the API can answer every question", ready,
             example=_EXAMPLE, tag="operations", refusals=_UNHEALTHY),
)  # fmt: skip
