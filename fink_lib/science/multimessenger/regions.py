"""Where a trigger may have come from: a circle, or the smallest region of a sky map that holds most probability.

A region of a map is a set of HEALPix cells in the nested scheme, each with its own order, written as NUNIQ numbers:
``4 * 4**order + cell`` (Fernique et al. 2022, IVOA Recommendation MOC 2.0).
"""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass

import astropy.units as u
import numpy as np
import numpy.typing as npt
from astropy.coordinates import Angle, Latitude, Longitude
from astropy.io import fits
from cdshealpix import from_ring, nested

from fink_lib.errors import DataError
from fink_lib.science.catalogs.catalog import healpix_index
from fink_lib.science.coordinates import unit_vectors

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

DEEPEST = 29
"""Order of the finest HEALPix cells (0.4 milliarcsec)."""

COARSE = 2
"""Order of the cells by which alerts and notices are brought together: nside 4, 192 cells of 215 square degrees."""

CREDIBLE_LEVEL = 0.9
WHOLE_SKY_SR = 4 * np.pi
_MAX_CELLS = 12 * 4**11
_LARGEST_FILE = 1 << 30


@dataclass(frozen=True)
class SkyMap:
    """A probability map.

    Parameters
    ----------
    uniq : ndarray of int64
        NUNIQ number of each cell.
    density : ndarray
        Probability per steradian in each cell.
    """

    uniq: Ints
    density: Floats

    @property
    def area_sr(self) -> Floats:
        """Solid angle of each cell."""
        return cell_area_sr(orders_of(self.uniq))


def orders_of(uniq: Ints) -> Ints:
    """Give the order of each NUNIQ number.

    >>> orders_of(np.array([4, 15, 16, 63, 64])).tolist()
    [0, 0, 1, 1, 2]
    """
    # The number of binary digits says it. A float64 holds 53 of them, so the upper and lower half are looked at apart.
    upper, lower = (np.frexp(half.astype(np.float64))[1].astype(np.int64) for half in (uniq >> 32, uniq & 0xFFFFFFFF))
    found: Ints = (np.where(upper > 0, upper + 32, lower) - 3) // 2
    return found


def cells_of(uniq: Ints) -> tuple[Ints, Ints]:
    """Split NUNIQ numbers into order and nested cell number."""
    orders = orders_of(uniq)
    return orders, uniq - 4 * 4**orders


def cell_area_sr(orders: Ints) -> Floats:
    """Solid angle of cells of some orders."""
    result: Floats = WHOLE_SKY_SR / (12 * np.power(4.0, orders, dtype=np.float64))
    return result


def read_skymap(file: bytes) -> SkyMap:
    """Read a sky map as gravitational-wave observatories publish it.

    Parameters
    ----------
    file : bytes
        FITS, gzipped or not, with one binary table: columns UNIQ and PROBDENSITY (multi-order), or PROB of all cells of
        one NSIDE, ordering NESTED or RING (Singer & Price 2016, Phys. Rev. D 93, 024013; LVK public alerts user guide).

    Returns
    -------
    SkyMap

    Raises
    ------
    DataError
        If it is no such map.
    """
    try:
        with fits.open(io.BytesIO(_unpacked(file))) as found:
            table = found[1]
            header, names = table.header, [name.upper() for name in table.columns.names]
            if "UNIQ" in names:
                uniq = np.asarray(table.data.field(names.index("UNIQ")), dtype=np.int64)
                density = np.asarray(table.data.field(names.index("PROBDENSITY")), dtype=np.float64)
            else:
                uniq, density = _flat(
                    header, np.asarray(table.data.field(names.index("PROB")), dtype=np.float64).ravel()
                )
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, zlib.error) as error:
        raise DataError("bad_skymap", f"this is no sky map: {error}") from error
    if len(uniq) == 0 or len(uniq) > _MAX_CELLS or uniq.min() < 4 or orders_of(uniq).max() > DEEPEST:
        raise DataError("bad_skymap", f"a sky map with {len(uniq)} cells, or cells that do not exist")
    if not np.isfinite(density).all() or (density < 0).any() or not density.any():
        raise DataError("bad_skymap", "a sky map with probabilities that are none")
    return SkyMap(uniq, density)


def _unpacked(file: bytes) -> bytes:
    if file[:2] != b"\x1f\x8b":
        return file
    unpacker = zlib.decompressobj(31)
    content = unpacker.decompress(file, _LARGEST_FILE)
    if unpacker.unconsumed_tail:
        raise ValueError(f"it is larger than {_LARGEST_FILE} bytes")
    return content


def _flat(header: fits.Header, probability: Floats) -> tuple[Ints, Floats]:
    """Give a map of equal cells as a multi-order one."""
    nside = int(header["NSIDE"])
    order = nside.bit_length() - 1
    if nside != 2**order or len(probability) != 12 * nside**2:
        raise ValueError(f"{len(probability)} cells are no map of NSIDE {nside}")
    cells = np.arange(len(probability), dtype=np.int64)
    if str(header["ORDERING"]).upper() == "RING":
        cells = from_ring(cells.astype(np.uint64), order).astype(np.int64)
    elif str(header["ORDERING"]).upper() != "NESTED":
        raise ValueError(f"ordering {header['ORDERING']} is neither RING nor NESTED")
    return 4 * 4**order + cells, probability / cell_area_sr(np.array(order))


def credible_region(skymap: SkyMap, level: float = CREDIBLE_LEVEL) -> Ints:
    """Give the smallest set of cells that holds some share of the probability.

    Parameters
    ----------
    skymap : SkyMap
        The map; its sum need not be exactly 1.
    level : float
        Share, 0 to 1.

    Returns
    -------
    ndarray of int64
        NUNIQ numbers, ascending: the densest cells, up to and with the one in which the share is reached.
    """
    probability = skymap.density * skymap.area_sr
    order = np.lexsort((skymap.uniq, -skymap.density))
    reached = np.cumsum(probability[order])
    last = int(np.searchsorted(reached, level * reached[-1]))
    return np.sort(skymap.uniq[order[: last + 1]])


def densest_place(skymap: SkyMap) -> tuple[float, float]:
    """Give the centre of the cell with the highest density: ra, dec (deg)."""
    best = np.lexsort((skymap.uniq, -skymap.density))[0]
    order, cell = cells_of(skymap.uniq[best : best + 1])
    lon, lat = nested.healpix_to_lonlat(cell.astype(np.uint64), int(order[0]), num_threads=1)
    return float(lon[0].deg), float(lat[0].deg)


def region_area_sr(uniq: Ints) -> float:
    """Solid angle of a region."""
    return float(cell_area_sr(orders_of(uniq)).sum())


def cap_area_sr(radius_deg: Floats | float) -> Floats | float:
    """Solid angle of a circle on the sphere: 2 pi (1 - cos r).

    >>> round(float(cap_area_sr(180.0)) / np.pi, 9)
    4.0
    """
    return 4 * np.pi * np.sin(np.radians(radius_deg) / 2) ** 2


def cap_radius_deg(area_sr: float) -> float:
    """Radius of the circle that has some solid angle (deg)."""
    return float(np.degrees(2 * np.arcsin(np.sqrt(min(area_sr / WHOLE_SKY_SR, 1.0)))))


def in_region(uniq: Ints, ra_deg: Floats, dec_deg: Floats) -> Bools:
    """Tell which places lie in a region.

    Parameters
    ----------
    uniq : ndarray of int64
        The region; no two of its cells overlap.
    ra_deg, dec_deg : ndarray
        ICRS positions (deg), finite.
    """
    orders, cells = cells_of(uniq)
    shift = 2 * (DEEPEST - orders)
    first, last = cells << shift, (cells + 1) << shift
    ascending = np.argsort(first, kind="stable")
    first, last = first[ascending], last[ascending]
    place = healpix_index(ra_deg, dec_deg, DEEPEST)
    at = np.searchsorted(first, place, side="right") - 1
    result: Bools = (at >= 0) & (place < last[np.maximum(at, 0)])
    return result


def in_cap(ra_deg: float, dec_deg: float, radius_deg: float, ra: Floats, dec: Floats) -> Bools:
    """Tell which places lie nearer to a centre than a radius (strictly; all in deg)."""
    centre = unit_vectors(np.array([ra_deg]), np.array([dec_deg]))[0]
    chord = np.sqrt(((unit_vectors(ra, dec) - centre) ** 2).sum(axis=1))
    result: Bools = chord < 2 * np.sin(np.radians(min(radius_deg, 180.0)) / 2)
    return result


def coarse_cells_of_cap(ra_deg: float, dec_deg: float, radius_deg: float) -> Ints:
    """Give the coarse cells that a circle touches, ascending; some more are allowed."""
    if radius_deg >= 90:
        return np.arange(12 * 4**COARSE, dtype=np.int64)
    centre = Longitude(ra_deg % 360.0, u.deg), Latitude(dec_deg, u.deg)
    cells, depths, _ = nested.cone_search(*centre, Angle(radius_deg, u.deg), COARSE)
    return _coarsened(cells.astype(np.int64), depths.astype(np.int64))


def coarse_cells_of_region(uniq: Ints) -> Ints:
    """Give the coarse cells that a region touches, ascending."""
    orders, cells = cells_of(uniq)
    return _coarsened(cells, orders)


def _coarsened(cells: Ints, orders: Ints) -> Ints:
    parts = [cells[orders >= COARSE] >> (2 * (orders[orders >= COARSE] - COARSE))]
    for cell, order in zip(cells[orders < COARSE].tolist(), orders[orders < COARSE].tolist(), strict=True):
        width = 4 ** (COARSE - order)
        parts.append(np.arange(cell * width, (cell + 1) * width, dtype=np.int64))
    result: Ints = np.unique(np.concatenate(parts))
    return result
