"""``/api/v1/ssobulk``: the light curves of all known asteroids and comets, as one Parquet file."""

from __future__ import annotations

from starlette.responses import FileResponse, Response

from fink_lib.api.arguments import Argument
from fink_lib.api.bulk import light_curves
from fink_lib.api.endpoint import Call, Endpoint
from fink_lib.api.problems import ApiError, ArgumentFault


def ssobulk(call: Call) -> Response:
    """Send the file; it is made when the nights have changed since the last time."""
    form = call["output-format"]
    if form != "parquet":
        text = f"Output format `{form[:100]}` is not supported. Choose among parquet\n"
        raise ApiError("bad-format", text, (ArgumentFault("output-format", "not supported"),))
    path = light_curves(call.stores)
    return FileResponse(path, media_type="application/parquet", filename="sso_light_curves.parquet")


ENDPOINTS = (
    Endpoint(
        "/api/v1/ssobulk",
        "The light curves of all known asteroids and comets, as one Parquet file",
        ssobulk,
        (Argument("output-format", "parquet.", default="parquet", example="parquet"),),
        compatible=True,
        media=("application/parquet",),
    ),
)
