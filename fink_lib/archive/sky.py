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
_FACE_ROW = np.array([2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4])
_FACE_COLUMN = np.array([1, 3, 5, 7, 0, 2, 4, 6, 1, 3, 5, 7])
"""Where the lowest corner of each base pixel lies: ring and longitude, in units of the base pixel."""


def pixel_of(ra_deg: npt.NDArray[np.float64], dec_deg: npt.NDArray[np.float64]) -> tuple[Ints, Ints]:
    """Give the pixel (RING, nside 128) and the part of it (0 to 63) of each position (deg).

    The formulas are those of Gorski et al. 2005, ApJ 622, 759. They stand here because the libraries that have them
    take a second to load, in every worker of every night.
    """
    face, x, y = _face_place(np.asarray(ra_deg, float), np.asarray(dec_deg, float))
    width = FINE_DEPTH - DEPTH
    part = np.zeros(len(face), np.int64)
    for bit in range(width):
        part |= (x >> bit & 1) << 2 * bit | (y >> bit & 1) << 2 * bit + 1
    return _ring_of(face, x >> width, y >> width), part


def _face_place(ra_deg: npt.NDArray[np.float64], dec_deg: npt.NDArray[np.float64]) -> tuple[Ints, Ints, Ints]:
    """Give the base pixel of each position and its place inside, in fine pixels."""
    side = 1 << FINE_DEPTH
    z, quarter = np.sin(np.radians(dec_deg)), np.mod(ra_deg, 360.0) / 90.0
    quarter = np.where(quarter >= 4.0, 0.0, quarter)
    # Around the equator: lines that rise and lines that fall.
    rising, falling = side * (0.5 + quarter) - side * z * 0.75, side * (0.5 + quarter) + side * z * 0.75
    down, up = np.floor(rising).astype(np.int64), np.floor(falling).astype(np.int64)
    first, second = down >> FINE_DEPTH, up >> FINE_DEPTH
    face = np.where(first == second, first & 3 | 4, np.where(first < second, first & 3, (second & 3) + 8))
    x, y = up & side - 1, side - 1 - (down & side - 1)
    # Around the poles, with the cosine of the declination: the sine loses its digits there.
    polar = np.abs(z) > 2 / 3
    base = np.minimum(quarter.astype(np.int64), 3)
    inside = quarter - base
    reach = side * np.cos(np.radians(dec_deg)) / np.sqrt((1 + np.abs(z)) / 3)
    p = np.minimum((inside * reach).astype(np.int64), side - 1)
    m = np.minimum(((1 - inside) * reach).astype(np.int64), side - 1)
    north = z > 0
    face = np.where(polar, np.where(north, base, base + 8), face)
    x = np.where(polar, np.where(north, side - 1 - m, p), x)
    y = np.where(polar, np.where(north, side - 1 - p, m), y)
    return face, x, y


def _ring_of(face: Ints, x: Ints, y: Ints) -> Ints:
    """Give the RING number (nside 128) of a place inside a base pixel."""
    row = _FACE_ROW[face] * NSIDE - x - y - 1
    north, south = row < NSIDE, row > 3 * NSIDE
    length = np.where(north, row, np.where(south, 4 * NSIDE - row, NSIDE))
    cap = 2 * NSIDE * (NSIDE - 1)
    before = np.where(north, 2 * row * (row - 1), cap + (row - NSIDE) * 4 * NSIDE)
    before = np.where(south, PIXELS - 2 * (length + 1) * length, before)
    shift = np.where(north | south, 0, row - NSIDE & 1)
    place = (_FACE_COLUMN[face] * length + x - y + 1 + shift) // 2
    place = np.where(place > 4 * length, place - 4 * length, place)
    return before + np.where(place < 1, place + 4 * length, place) - 1


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
    nested = np.asarray(cells).astype(np.int64)
    x, y = np.zeros_like(nested), np.zeros_like(nested)
    for bit in range(DEPTH):
        x |= (nested >> 2 * bit & 1) << bit
        y |= (nested >> 2 * bit + 1 & 1) << bit
    return _ring_of(nested >> 2 * DEPTH, x, y)


def _runs(places: Ints, width: int) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Join neighbours."""
    if not len(places):
        return []
    ordered = np.unique(places)
    breaks = np.flatnonzero(np.diff(ordered) > width) + 1
    firsts = ordered[np.concatenate(([0], breaks))]
    ends = ordered[np.concatenate((breaks - 1, [len(ordered) - 1]))] + width
    return [(divmod(int(first), PARTS), divmod(int(end), PARTS)) for first, end in zip(firsts, ends, strict=True)]
