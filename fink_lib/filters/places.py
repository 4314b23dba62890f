"""Places to watch: cones, names of objects, a region of the sky; and which of some alerts are there.

Everything is vectorised over the alerts and needs neither clock nor disk: it runs over a batch of the stream as well as
over a night of the lake.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import astropy.units as u
import numpy as np
import numpy.typing as npt
from astropy.coordinates import Latitude, Longitude
from cdshealpix.nested import lonlat_to_healpix
from scipy.spatial import cKDTree

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ARCSEC = np.pi / 180 / 3600
DEEPEST = 29
"""Order at which cells of a region are kept: that of 64-bit cell numbers."""
RADIUS_STEP = 4.0
"""Cones whose radii differ by less than this factor share a tree."""

_PART = re.compile(r"(?:([0-9]{1,2})/)?(?:([0-9]{1,19})(?:-([0-9]{1,19}))?)?")


@dataclass(frozen=True)
class Cone:
    """A circle on the sky: position in degrees (J2000), radius in arcseconds."""

    name: str
    ra: float
    dec: float
    radius: float


@dataclass(frozen=True)
class Found:
    """Which alerts are where: one entry for each alert and each place that it is in.

    Parameters
    ----------
    rows : numpy.ndarray
        Numbers of the alerts, in order.
    places : numpy.ndarray
        Numbers of the places: cones first, then objects, then the region.
    separation_deg : numpy.ndarray
        Distance from the centre of the cone; NaN for objects and the region.
    """

    rows: Ints
    places: Ints
    separation_deg: Floats


@dataclass(frozen=True)
class Places:
    """What is watched.

    Parameters
    ----------
    cones : tuple of Cone
        Circles.
    objects : tuple of str
        Names, as the survey has them.
    region : tuple of (int, int)
        Ranges of HEALPix cells (nested, order 29, the last one not included), in order and apart; empty for none.
    """

    cones: tuple[Cone, ...] = ()
    objects: tuple[str, ...] = ()
    region: tuple[tuple[int, int], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each place, in the order of :attr:`Found.places`."""
        return (*(cone.name for cone in self.cones), *self.objects, *(("region",) if self.region else ()))

    def match(self, objects: Sequence[str] | npt.NDArray[np.object_], ra: Floats, dec: Floats) -> Found:
        """Find the alerts that are in any of the places.

        Parameters
        ----------
        objects : sequence of str
            Name of each alert's object.
        ra, dec : numpy.ndarray
            Where each alert is (degrees, J2000); one without a position is in no cone and no region.

        Returns
        -------
        Found
        """
        ra, dec = np.asarray(ra, np.float64), np.asarray(dec, np.float64)
        parts = [self._in_cones(ra, dec), self._named(objects), self._in_region(ra, dec)]
        rows, places, separations = (np.concatenate([part[n] for part in parts]) for n in range(3))
        order = np.lexsort((places, rows))
        return Found(rows[order].astype(np.int64), places[order].astype(np.int64), separations[order])

    def predicate(self) -> str:
        """Write the places as a condition that a filter may have; empty if they have a region, which has none.

        The condition takes exactly the alerts that :meth:`match` finds, but for those within a rounding of an edge.
        """
        if self.region:
            return ""
        parts = [_cone_predicate(cone) for cone in self.cones]
        if self.objects:
            names = ", ".join("'" + name.replace("'", "''") + "'" for name in self.objects)
            parts.append(f"objectId IN ({names})")
        return _any_of(parts)

    def _in_cones(self, ra: Floats, dec: Floats) -> tuple[Ints, Ints, Floats]:
        good = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
        points = unit_vectors(ra[good], dec[good])
        rows, places, chords = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0)]
        for number, tree in self._trees if len(good) else ():
            limits = _chords(np.array([self.cones[place].radius for place in number]))
            # most alerts are near none of them, and that is found out without a list for each
            reach = limits.max() * (1 + 1e-9) + 1e-13
            near = np.flatnonzero(np.isfinite(tree.query(points, distance_upper_bound=reach)[0]))
            around = tree.query_ball_point(points[near], reach)
            row = np.repeat(near, [len(found) for found in around])
            place = np.concatenate([np.empty(0, np.int64), *map(np.asarray, around)]).astype(np.int64)
            chord = np.linalg.norm(points[row] - tree.data[place], axis=1)
            inside = chord <= limits[place]
            rows.append(good[row[inside]])
            places.append(number[place[inside]])
            chords.append(chord[inside])
        separation = np.degrees(2 * np.arcsin(np.clip(np.concatenate(chords) / 2, 0, 1)))
        return np.concatenate(rows), np.concatenate(places), separation

    @cached_property
    def _trees(self) -> list[tuple[Ints, cKDTree]]:
        """Trees over cones of similar radius, and the numbers of their cones."""
        if not self.cones:
            return []
        radii = np.array([cone.radius for cone in self.cones])
        steps = np.floor(np.log(radii) / np.log(RADIUS_STEP)).astype(int)
        centres = unit_vectors(np.array([cone.ra for cone in self.cones]), np.array([cone.dec for cone in self.cones]))
        groups = (np.flatnonzero(steps == step) for step in np.unique(steps))
        return [(number, cKDTree(centres[number])) for number in groups]

    def _named(self, objects: Sequence[str] | npt.NDArray[np.object_]) -> tuple[Ints, Ints, Floats]:
        if not self.objects:
            return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
        found = [(row, place) for row, name in enumerate(objects) if (place := self._numbers.get(name)) is not None]
        pairs = np.array(found, np.int64).reshape(-1, 2)
        return pairs[:, 0], pairs[:, 1] + len(self.cones), np.full(len(pairs), np.nan)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.objects)}

    def _in_region(self, ra: Floats, dec: Floats) -> tuple[Ints, Ints, Floats]:
        good = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec) & (np.abs(dec) <= 90))
        if not self.region or not len(good):
            return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
        cells = lonlat_to_healpix(Longitude(ra[good], u.deg), Latitude(dec[good], u.deg), depth=DEEPEST)
        begins, ends = self._bounds
        place = np.searchsorted(begins, cells.astype(np.int64), side="right") - 1
        inside = (place >= 0) & (cells.astype(np.int64) < ends[place])
        rows = good[inside]
        return rows, np.full(len(rows), len(self.cones) + len(self.objects)), np.full(len(rows), np.nan)

    @cached_property
    def _bounds(self) -> tuple[Ints, Ints]:
        bounds = np.array(self.region, np.int64).reshape(-1, 2)
        return bounds[:, 0], bounds[:, 1]


def unit_vectors(ra: Floats, dec: Floats) -> Floats:
    """Give directions as vectors of length 1; distances between them are chords.

    Parameters
    ----------
    ra, dec : numpy.ndarray
        Degrees.
    """
    longitude, latitude = np.radians(ra), np.radians(dec)
    flat = np.cos(latitude)
    return np.stack([flat * np.cos(longitude), flat * np.sin(longitude), np.sin(latitude)], axis=-1)


def region_of(moc: Mapping[str, Any] | str, most_cells: int) -> tuple[tuple[int, int], ...]:
    """Read a multi-order coverage map in one of its two text forms (IVOA MOC 2.0, sections 4.3.2 and 4.3.3).

    Parameters
    ----------
    moc : mapping or str
        ``{"5": [8, 9], "6": [42]}``, or ``5/8-9 6/42``.
    most_cells : int
        Cells and ranges that it may have.

    Returns
    -------
    tuple of (int, int)
        As :attr:`Places.region`.

    Raises
    ------
    ValueError
        If it is no such map, or has too many cells.
    """
    cells = list(_of_text(moc) if isinstance(moc, str) else _of_json(moc))
    if not cells:
        raise ValueError("it holds no cell")
    if len(cells) > most_cells:
        raise ValueError(f"it holds {len(cells)} cells, and {most_cells} are allowed")
    merged: list[tuple[int, int]] = []
    for begin, end in sorted(cells):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return tuple(merged)


def _cone_predicate(cone: Cone) -> str:
    """Write a cone: a band of declination, which is cheap, then the haversine of the distance."""
    radius_deg = cone.radius / 3600
    low, high = cone.dec - 1.000001 * radius_deg, cone.dec + 1.000001 * radius_deg
    across = f"cos(radians(candidate.dec)) * {np.cos(np.radians(cone.dec)):.17f}"
    haversine = (
        f"pow(sin(radians(candidate.dec - ({cone.dec:.12f})) / 2), 2) "
        f"+ {across} * pow(sin(radians(candidate.ra - ({cone.ra:.12f})) / 2), 2)"
    )
    limit = np.sin(np.radians(radius_deg) / 2) ** 2
    return f"(candidate.dec BETWEEN {low:.12f} AND {high:.12f} AND {haversine} <= {limit:.25f})"


def _any_of(parts: Sequence[str]) -> str:
    """Join conditions by OR, in halves: a chain of many would be nested as deep as it is long."""
    if len(parts) < 2:
        return "".join(parts)
    half = len(parts) // 2
    return f"({_any_of(parts[:half])} OR {_any_of(parts[half:])})"


def _of_json(moc: Mapping[str, Any]) -> Iterator[tuple[int, int]]:
    for order, numbers in moc.items():
        if not re.fullmatch("[0-9]{1,2}", order) or not isinstance(numbers, list):
            raise ValueError('it has to be {"order": [cell, ...], ...}')
        for number in numbers:
            if isinstance(number, bool) or not isinstance(number, int):
                raise ValueError("a cell is a whole number")
            yield _cell_range(int(order), number, number)


def _of_text(moc: str) -> Iterator[tuple[int, int]]:
    order = -1
    for part in re.split(r"[\s,]+", moc.strip()):
        found = _PART.fullmatch(part)
        if found is None or (order < 0 and found[1] is None):
            raise ValueError(f"'order/cell cell-cell order/cell ...' is expected, not {part[:40]!r}")
        order = order if found[1] is None else int(found[1])
        if found[2] is not None:
            yield _cell_range(order, int(found[2]), int(found[3] or found[2]))


def _cell_range(order: int, first: int, last: int) -> tuple[int, int]:
    if order > DEEPEST:
        raise ValueError(f"an order is at most {DEEPEST}")
    if not 0 <= first <= last < 12 * 4**order:
        raise ValueError(f"order {order} has cells 0 to {12 * 4**order - 1}")
    shift = 2 * (DEEPEST - order)
    return first << shift, (last + 1) << shift


def _chords(radius_arcsec: Floats) -> Floats:
    return 2 * np.sin(np.minimum(radius_arcsec * ARCSEC, np.pi) / 2)
