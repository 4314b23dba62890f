"""Objects inside the region of a gravitational-wave event that appeared around its time."""

from __future__ import annotations

import io
import math
import threading
import time
import zlib
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from astropy.io import fits
from astropy.time import Time
from cdshealpix import to_ring

from fink_lib.api.alerts import ARCHIVE, LAKE, Bools, Found, Test, from_lake, newest_first, with_source
from fink_lib.api.cones import light, objects_of, sources_of
from fink_lib.api.problems import ApiError, ArgumentFault, bad_argument
from fink_lib.api.scans import LONGEST_S, MOST_SCANNED, archived_pixels
from fink_lib.api.stores import Stores
from fink_lib.archive.sky import DEPTH, pixel_of
from fink_lib.errors import DataError
from fink_lib.science.multimessenger.regions import cells_of, credible_region, in_region, read_skymap

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

MOST_BYTES = 512 * 1024 * 1024
"""Of a sky map that is unpacked: what an observatory publishes at nside 1024 is 400 MB."""
PIXELS_AT_ONCE = 512
_GZIP = b"\x1f\x8b"

_reading = threading.Lock()
"""One map at a time: each may take a gigabyte."""


@dataclass(frozen=True)
class Region:
    """Where and when an event was.

    Parameters
    ----------
    uniq : ndarray of int64
        NUNIQ numbers of the cells of the credible region.
    jd : float
        Time of the event (JD, UTC).
    """

    uniq: Ints
    jd: float

    @property
    def pixels(self) -> Ints:
        """Pixels of the archive that the region touches, ascending."""
        orders, cells = cells_of(self.uniq)
        parts = [cells[orders >= DEPTH] >> (2 * (orders[orders >= DEPTH] - DEPTH))]
        for order in np.unique(orders[orders < DEPTH]).tolist():
            width = 4 ** (DEPTH - order)
            wide = cells[orders == order]
            parts.append((wide[:, None] * width + np.arange(width)).ravel())
        nested = np.unique(np.concatenate(parts))
        return np.sort(to_ring(nested.astype(np.uint64), DEPTH, num_threads=1).astype(np.int64))

    def holds(self, rows: pa.Table) -> Bools:
        """Tell which rows lie inside."""
        ra, dec = (rows.column(name).to_numpy() for name in ("i:ra", "i:dec"))
        good = np.isfinite(ra) & (np.abs(dec) <= 90)
        inside = np.zeros(len(ra), dtype=bool)
        inside[good] = in_region(self.uniq, ra[good], dec[good])
        return inside


def read_region(file: bytes, level: float) -> Region:
    """Read a sky map and cut it at a credible level.

    Parameters
    ----------
    file : bytes
        FITS, gzipped or not.
    level : float
        Share of the probability, 0 to 1.

    Raises
    ------
    ApiError
        If it is no sky map, is too large, or does not say when the event was.
    """
    with _reading:
        plain = _unpacked(file)
        try:
            skymap = read_skymap(plain)
            with fits.open(io.BytesIO(plain)) as units:
                jd = _time(units[1].header)
        except (DataError, OSError, IndexError, ValueError, TypeError) as error:
            raise bad_argument("bayestar", f"is no sky map ({type(error).__name__}: {error})"[:300]) from error
    if not math.isfinite(jd):
        raise bad_argument("bayestar", "does not say when the event was (DATE-OBS, MJD-OBS)")
    return Region(credible_region(skymap, level), jd)


def find_in_region(
    stores: Stores, region: Region, test: Test, most: int, needed: Collection[str], first_pixel: int
) -> Found:
    """Read the objects of a region that pass a test, each by its newest alert that does.

    Parameters
    ----------
    stores : Stores
        Where the data are.
    region : Region
        Where.
    test : callable
        What is asked of an alert.
    most : int
        How many objects at most.
    needed : collection of str
        Served columns to give; those of a light row.
    first_pixel : int
        Where to begin, in the order of pixels: what an earlier answer said.

    Returns
    -------
    Found
        ``resume`` names the pixel to go on with if the region was too much for one answer.
    """
    archived = stores.archived_nights()
    pixels = region.pixels
    pixels = pixels[pixels >= first_pixel]
    parts, seen, resume = [], len(pixels), None
    if archived:
        old, seen = _archived(stores, pixels, archived, needed)
        parts.append(with_source(old, ARCHIVE))
        resume = str(pixels[seen]) if seen < len(pixels) else None
    done = pixels[:seen]

    def choose(index: pa.Table) -> Ints:
        rows = np.flatnonzero(test(index))
        rows = rows[region.holds(index.take(pa.array(rows)))]
        some = index.take(pa.array(rows))
        places = pixel_of(*(some.column(name).to_numpy() for name in ("i:ra", "i:dec")))[0]
        return rows[np.isin(places, done)]

    parts.append(with_source(light(from_lake(stores, choose, archived, needed)), LAKE))
    alerts = pa.concat_tables(parts, promote_options="permissive")
    alerts = alerts.filter(pa.array(region.holds(alerts)))
    found = newest_first([objects_of(alerts, test, any_alert=True)])
    return Found(found.slice(0, most), found.num_rows, sources_of(found), resume)


def _archived(stores: Stores, pixels: Ints, nights: Collection[str], needed: Collection[str]) -> tuple[pa.Table, int]:
    """Read pixels until it is enough; gives the alerts, and how many pixels were read."""
    end_s = time.monotonic() + LONGEST_S
    parts, rows, place = [archived_pixels(stores, [], nights, needed)], 0, 0
    while place < len(pixels) and rows < MOST_SCANNED and time.monotonic() < end_s:
        part = archived_pixels(stores, pixels[place : place + PIXELS_AT_ONCE].tolist(), nights, needed)
        parts.append(part)
        rows += part.num_rows
        place += PIXELS_AT_ONCE
    return pa.concat_tables(parts, promote_options="permissive"), min(place, len(pixels))


def _unpacked(file: bytes) -> bytes:
    if not file.startswith(_GZIP):
        return file
    unpacker = zlib.decompressobj(31)
    try:
        plain = unpacker.decompress(file, MOST_BYTES)
    except zlib.error as error:
        raise bad_argument("bayestar", f"is not gzip ({error})") from error
    if unpacker.unconsumed_tail:
        text = f"The sky map is larger than {MOST_BYTES} bytes when it is unpacked.\n"
        raise ApiError("too-large", text, (ArgumentFault("bayestar", "too large"),), status=413)
    if not unpacker.eof:
        raise bad_argument("bayestar", "is cut off")
    return plain


def _time(header: fits.Header) -> float:
    if "DATE-OBS" in header:
        return float(Time(str(header["DATE-OBS"])).jd)
    if "MJD-OBS" in header:
        return float(header["MJD-OBS"]) + 2_400_000.5
    return math.nan
