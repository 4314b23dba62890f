"""``/api/v1/cutouts``: one image of an alert as PNG, FITS or array, straight from the lake."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
from starlette.responses import Response

from fink_lib.api.arguments import Argument
from fink_lib.api.endpoint import Call, Endpoint
from fink_lib.api.images import image_column, images_of, stamp_file, stamp_pixels
from fink_lib.api.pictures import GREY, KERNELS, STRETCHES, colour_maps, png, smoothed, stretched
from fink_lib.api.problems import ApiError, ArgumentFault, bad_argument
from fink_lib.api.stamps import KINDS

LARGEST_ID = 2**63 - 1
FORMATS = ("PNG", "FITS", "array")

ARGUMENTS = (
    Argument("objectId", "Name of the object. Exact name only.", required=True, example="ZTF21abiuvdk"),
    Argument("kind", "Science, Template or Difference; All with `output-format=array`.", "choice", True, None,
             (*KINDS, "All"), example="Science"),
    Argument("output-format", "PNG, FITS or array.", default="PNG"),
    Argument("candid", "Id of the alert; the object's latest alert by default.", "integer", least=0, most=LARGEST_ID),
    Argument("stretch", "How pixels become shades: sigmoid, linear, sqrt, power, log or asinh.", "choice",
             default="sigmoid", choices=STRETCHES),
    Argument("colormap", "Name of a colour map of matplotlib; shades of grey by default.", default=GREY),
    Argument("pmin", "Percentile that is drawn black. No effect with sigmoid.", "number", default=0.5, least=0,
             most=100),
    Argument("pmax", "Percentile that is drawn white. No effect with sigmoid.", "number", default=99.5, least=0,
             most=100),
    Argument("convolution_kernel", "Smooth the image: gauss or box.", "choice", choices=KERNELS),
)  # fmt: skip


def cutouts(call: Call) -> Response:
    """Give the image, or the images, of one alert."""
    form = call["output-format"]
    if call["kind"] == "All" and form != "array":
        text = "The option `kind=All` is only compatible with `output-format=array`.\n"
        raise ApiError("bad-argument", text, (ArgumentFault("kind", "All needs output-format=array"),))
    if form not in FORMATS:
        text = "output-format must be one of: PNG, FITS, or array.\n"
        raise ApiError("bad-format", text, (ArgumentFault("output-format", "not supported"),))
    if call["colormap"] not in colour_maps():
        raise bad_argument("colormap", "must be the name of a colour map of matplotlib")
    if call["pmin"] >= call["pmax"]:
        raise bad_argument("pmin", "must be less than `pmax`")
    images = images_of(call.stores, call["objectId"], call["candid"])
    kinds = tuple(KINDS) if call["kind"] == "All" else (call["kind"],)
    if any(kind not in images for kind in kinds):
        text = f"This alert came without the image asked for ({call['kind']}).\n"
        raise ApiError("no-image", text, (ArgumentFault("kind", "no such image"),))
    if form == "array":
        arrays = {image_column(kind): listed(stamp_pixels(images[kind])) for kind in kinds}
        return Response(json.dumps(arrays, allow_nan=False), media_type="application/json", headers=_kept(call))
    image, name = images[kinds[0]], f"{_plain(call['objectId'])}_{kinds[0]}"
    if form == "FITS":
        return _file(call, stamp_file(image), f"{name}.fits", "application/octet-stream")
    return _file(call, _picture(call, image), f"{name}.png", "image/png")


def _picture(call: Call, image: bytes) -> bytes:
    pixels = stretched(stamp_pixels(image), call["stretch"], call["pmin"], call["pmax"])
    if call["convolution_kernel"]:
        pixels = smoothed(pixels, call["convolution_kernel"])
    return png(pixels, call["colormap"])


def listed(pixels: Any) -> list[list[float | None]]:
    """Give pixels as lists of rows; one that is not finite is null."""
    return [[value if np.isfinite(value) else None for value in row] for row in pixels.tolist()]


def _file(call: Call, content: bytes, name: str, kind: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"', **_kept(call)}
    return Response(content, media_type=kind, headers=headers)


def _kept(call: Call) -> dict[str, str]:
    # the image of an alert never changes; the latest alert of an object does
    return {"Cache-Control": "public, max-age=86400" if call["candid"] is not None else "no-cache"}


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:100]


ENDPOINTS = (
    Endpoint(
        "/api/v1/cutouts",
        "Images of an alert: PNG, FITS or array",
        cutouts,
        ARGUMENTS,
        example={"b:cutoutScience_stampData": [[312.1, 310.8], [309.9, 311.2]]},
        compatible=True,
        media=("image/png", "application/octet-stream"),
    ),
)
