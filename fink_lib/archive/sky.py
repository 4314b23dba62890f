"""Where the rows of a place on the sky are: HEALPix pixels in row keys.

A row key begins with the RING pixel of nside 128 (27 arcmin wide) and with the place inside it of the NESTED pixel of
nside 1024 (3.4 arcmin). So a small cone in a crowded field reads a sixty-fourth of a pixel, and a large one reads whole
pixels, which lie side by side along a ring.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

DEPTH, FINE_DEPTH = 7, 10
NSIDE = 1 << DEPTH
PIXELS = 12 * NSIDE * NSIDE
PARTS = 1 << 2 * (FINE_DEPTH - DEPTH)
"""Fine pixels in a pixel."""
FINE_RADIUS_DEG = 0.1
"""Up to this radius a cone is covered by fine pixels; they would be too many scans for a larger one."""
LEAST_RADIUS_DEG = 1e-6

Ints = npt.NDArray[np.int64]


def pixel_of(ra_deg: npt.NDArray[np.float64], dec_deg: npt.NDArray[np.float64]) -> tuple[Ints, Ints]:
    """Give the pixel (RING, nside 128) and the part of it (0 to 63) of each position (deg)."""
    from astropy import units as u
    from astropy.coordinates import Latitude, Longitude
    from cdshealpix import nested

    if not len(ra_deg):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    places = Longitude(np.mod(ra_deg, 360.0), u.deg), Latitude(dec_deg, u.deg)
    return _ring(nested.lonlat_to_healpix(*places, FINE_DEPTH, num_threads=1))


def cone_ranges(ra_deg: float, dec_deg: float, radius_deg: float) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Cover a cone.

    Parameters
    ----------
    ra_deg, dec_deg, radius_deg : float
        Centre and radius.

    Returns
    -------
    list of tuple
        Ranges of (pixel, part), first and the one behind the last; they hold the cone and a margin.
    """
    from astropy import units as u
    from astropy.coordinates import Latitude, Longitude
    from cdshealpix import nested

    fine = radius_deg <= FINE_RADIUS_DEG
    depth = FINE_DEPTH if fine else DEPTH
    centre = Longitude(ra_deg % 360.0, u.deg), Latitude(dec_deg, u.deg)
    cells, _, _ = nested.cone_search(*centre, max(radius_deg, LEAST_RADIUS_DEG) * u.deg, depth, flat=True)
    if fine:
        pixels, parts = _ring(cells)
        return _runs(pixels * PARTS + parts, 1)
    return pixel_ranges(_to_ring(cells).tolist())


def pixel_ranges(pixels: Sequence[int]) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Give the ranges of (pixel, part) of whole pixels (RING, nside 128)."""
    return _runs(np.asarray(pixels, np.int64) * PARTS, PARTS)


def _ring(fine: Any) -> tuple[Ints, Ints]:
    deep = np.asarray(fine).astype(np.int64)
    return _to_ring(deep // PARTS), deep % PARTS


def _to_ring(cells: Any) -> Ints:
    from cdshealpix import to_ring

    found: Ints = to_ring(np.asarray(cells).astype(np.uint64), DEPTH, num_threads=1).astype(np.int64)
    return found


def _runs(places: Ints, width: int) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Join neighbours."""
    if not len(places):
        return []
    ordered = np.unique(places)
    breaks = np.flatnonzero(np.diff(ordered) > width) + 1
    firsts = ordered[np.concatenate(([0], breaks))]
    ends = ordered[np.concatenate((breaks - 1, [len(ordered) - 1]))] + width
    return [(divmod(int(first), PARTS), divmod(int(end), PARTS)) for first, end in zip(firsts, ends, strict=True)]
