"""``/metrics``: numbers for Prometheus."""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from fink_lib.api.endpoint import Call, Endpoint
from fink_lib.api.metrics import PATH


def metrics(call: Call) -> Response:
    """Give all numbers."""
    return Response(call.stores.metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})


ENDPOINTS = (
    Endpoint(
        PATH,
        "Numbers of streams, services, nights and requests, in Prometheus's text format",
        metrics,
        tag="operations",
        media=("text/plain",),
    ),
)
