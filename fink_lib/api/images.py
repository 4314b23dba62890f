"""Images of alerts, for answers that carry them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fink_lib.api.alerts import find_objects
from fink_lib.api.answer import Rows
from fink_lib.api.endpoint import Call
from fink_lib.api.problems import ApiError, ArgumentFault
from fink_lib.api.scans import nights_of
from fink_lib.api.stamps import KINDS, Images, unpacked
from fink_lib.api.stores import Stores
from fink_lib.errors import DataError
from fink_lib.science.stamps import read_stamp

LOG = logging.getLogger(__name__)

MOST_ALERTS = 100
"""An image is 16 kB as numbers and 60 kB as text; an answer holds those of so many alerts at most."""

PIXELS = pa.list_(pa.list_(pa.float32()))


def image_column(kind: str) -> str:
    """Name the column of an image: ``Science``, ``Template`` or ``Difference``."""
    return f"b:cutout{kind}_stampData"


def images_of(stores: Stores, name: str, candid: int | None) -> Images:
    """Give the images of one alert of an object, by kind.

    Parameters
    ----------
    stores : Stores
        Where the data are.
    name : str
        The object.
    candid : int, optional
        Which of its alerts; the latest without.

    Raises
    ------
    ApiError
        If there is no such alert.
    """
    most = 1 if candid is None else 1_000_000
    found = find_objects(stores, [name], most, ("i:candid", "i:jd"), evolution=False).table
    ids = found.column("i:candid").to_pylist()
    if not ids or (candid is not None and candid not in ids):
        which = "objectId" if not ids else "candid"
        text = "No alert is known under this name.\n" if not ids else f"The object has no alert {candid}.\n"
        raise ApiError("no-image", text, (ArgumentFault(which, "unknown"),))
    place = 0 if candid is None else ids.index(candid)
    jd = found.column("i:jd").slice(place, 1)
    return stores.stamps.find(ids[place], nights_of(stores.lake.survey, jd.to_pylist())[0])


def with_images(stores: Stores, table: pa.Table, start: int, number: int, kinds: Sequence[str]) -> pa.Table:
    """Append the images of some alerts as lists of rows of pixels; null where an alert has none.

    Parameters
    ----------
    stores : Stores
        Where the data are.
    table : pyarrow.Table
        Alerts, with ``i:candid`` and ``i:jd``.
    start, number : int
        Which rows get their images; the others have none.
    kinds : sequence of str
        Which images.
    """
    some = table.slice(start, number)
    nights = nights_of(stores.lake.survey, some.column("i:jd").to_pylist())
    ids = some.column("i:candid").to_pylist()
    images = [stores.stamps.find(one, night) if one >= 0 else {} for one, night in zip(ids, nights, strict=True)]
    before = [None] * min(start, table.num_rows)
    after = [None] * (table.num_rows - len(before) - len(images))
    for kind in kinds:
        pixels = [*before, *(_rows(found[kind]) if kind in found else None for found in images), *after]
        table = table.append_column(image_column(kind), pa.array(pixels, PIXELS))
    return table


def page_with_images(call: Call, rows: Rows) -> Rows:
    """Append the images that ``withcutouts`` asks for to the rows of this page of an answer.

    Parameters
    ----------
    call : Call
        With the arguments ``cutout-kind``, ``limit`` and ``offset``.
    rows : Rows
        The answer without images.
    """
    kinds = (call["cutout-kind"],) if call["cutout-kind"] else tuple(KINDS)
    table = with_images(call.stores, rows.table, call["offset"], min(call["limit"], MOST_ALERTS), kinds)
    names = [image_column(kind) for kind in kinds]
    known = (*(rows.known or rows.table.column_names), *names)
    return replace(rows, table=table, known=known, always=(*rows.always, *names), most=MOST_ALERTS)


def stamp_pixels(image: bytes) -> npt.NDArray[np.float64]:
    """Read the pixels of an image.

    Raises
    ------
    ApiError
        If the survey sent something that is no image.
    """
    try:
        return read_stamp(image)
    except DataError as error:
        raise _damaged(error) from error


def stamp_file(image: bytes) -> bytes:
    """Give an image as a plain FITS file.

    Raises
    ------
    ApiError
        If the survey sent something that is none.
    """
    try:
        return unpacked(image)
    except DataError as error:
        raise _damaged(error) from error


def _damaged(error: DataError) -> ApiError:
    return ApiError("no-image", f"The image that came with this alert is damaged ({error}).\n")


def _rows(image: bytes) -> list[list[float | None]] | None:
    try:
        pixels = read_stamp(image)
    except DataError as error:
        LOG.warning("an image is served as missing: %s", error)
        return None
    return [[value if np.isfinite(value) else None for value in row] for row in pixels.tolist()]
