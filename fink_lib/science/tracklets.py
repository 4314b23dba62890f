"""Tracklets: glints of satellites and fast asteroids that lie on one line within one exposure.

Karpov & Peloton 2023, arXiv:2310.17322. Within an exposure, great circles are laid through pairs of new sources; a
circle with at least five sources within 5 arcsec is the beginning of a trail, which a parabola along the track then
makes narrower and may extend.

The original takes all pairs, N^3 steps, and finds several rows of five by chance among 500 sources. Here a pair is made
of neighbours, and a trail has no gap wider than neighbours are apart: about N^2 steps, and hardly a row by chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from fink_lib.science.coordinates import unit_vectors

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

NAME = "tracklet"
VERSION = "1"
"""Key and value in ``fink_status`` and ``fink_versions`` of alerts in a tracklet."""

ARCSEC = np.pi / 180 / 3600
FEWEST = 5
"""Sources in a tracklet (Karpov & Peloton 2023)."""

PAIR_ARCSEC = 10.0
"""Sources nearer to each other than this define no direction."""

CIRCLE_ARCSEC = 5.0
"""Largest distance of a source from the great circle of a pair."""

TRACK_ARCSEC = 1.0
"""Largest distance of a source from the fitted parabola."""

NEIGHBOUR_DEG = 0.3
"""Largest distance of neighbours on a trail; smaller where sources are many (:func:`neighbour_radius`)."""

NEIGHBOURS = 10
"""Sources that may on average be near another one before the distance of neighbours is made smaller."""

REFITS = 10
STRAY_GAP = 10 / 11
"""An end source beyond this part of the whole length is no part of the trail."""

SHARED = 2
"""Sources that two crossing trails may share; with more they are one."""

PAIRS_AT_ONCE = 500
"""Circles compared with all sources together; bounds the memory."""

PREFIX = "TRCK"
_JD_OF_UNIX = 2440587.5


def is_trail_candidate(
    ssnamenr: npt.NDArray[np.object_],
    ndethist: Floats,
    positive: Bools,
    distnr: Floats,
    magnr: Floats,
    magpsf: Floats,
) -> Bools:
    """Tell which sources may belong to a tracklet.

    New, brighter than the reference, no known asteroid, and not the remains of a star that was badly subtracted: distnr
    < 2, magnr - magpsf < 1 and magnr - magpsf < -4 (log10 distnr + 0.2) (Karpov & Peloton 2023, section 2).

    Parameters
    ----------
    ssnamenr : ndarray of object
        Name of the nearest known asteroid; ``None`` or ``"null"`` without one.
    ndethist : ndarray
        Number of detections at the place.
    positive : ndarray of bool
        Whether the source is brighter than the reference.
    distnr, magnr, magpsf : ndarray
        Distance (arcsec) and magnitude of the nearest reference source, and magnitude of the difference; NaN where
        missing, which is no sign of a bad subtraction.

    Returns
    -------
    ndarray of bool
    """
    unnamed = np.array([name is None or name == "null" for name in ssnamenr], dtype=bool)
    with np.errstate(invalid="ignore", divide="ignore"):
        contrast = magnr - magpsf
        residue = (distnr < 2) & (contrast < 1) & (contrast < -4 * (np.log10(distnr) + 0.2))
    result: Bools = unnamed & (ndethist == 1) & positive & ~residue
    return result


def find_tracklets(candid: Ints, jd: Floats, ra_deg: Floats, dec_deg: Floats) -> npt.NDArray[np.object_]:
    """Link the sources of a night, each exposure on its own.

    Parameters
    ----------
    candid : ndarray of int64
        Ids, each once.
    jd : ndarray
        Time of the exposure (JD, UTC); sources of one exposure have the same.
    ra_deg, dec_deg : ndarray
        ICRS positions (deg).

    Returns
    -------
    ndarray of object
        ``TRCK_YYYYMMDD_HHMMSS_nn`` with the exposure's time, or ``None``; the same for the same sources in any order.
        Within an exposure, 00 has the most sources; of two with as many, the one with the smallest id comes first.
    """
    names = np.full(len(candid), None, dtype=object)
    placed = np.flatnonzero(np.isfinite(jd) & np.isfinite(ra_deg) & np.isfinite(dec_deg))
    order = placed[np.lexsort((candid[placed], jd[placed]))]
    starts = np.flatnonzero(np.diff(jd[order], prepend=-np.inf))
    used: dict[str, int] = {}
    for rows in np.split(order, starts[1:]):
        vectors = unit_vectors(ra_deg[rows], dec_deg[rows])
        # One source that is in the stream under two ids is one point of a trail, and both have its name.
        _, first, copy_of = np.unique(vectors, axis=0, return_index=True, return_inverse=True)
        points = np.sort(first)
        if len(points) < FEWEST:
            continue
        stamp = exposure_stamp(float(jd[rows[0]]))
        for members in link_exposure(vectors[points]):
            number = used.setdefault(stamp, 0)
            names[rows[np.isin(first[copy_of], points[members])]] = f"{PREFIX}_{stamp}_{number:02d}"
            used[stamp] = number + 1
    return names


def exposure_stamp(jd: float) -> str:
    """Give ``YYYYMMDD_HHMMSS`` of a Julian date (UTC), whole seconds, rounded down.

    >>> exposure_stamp(2459369.9001157)
    '20210604_093610'
    """
    # Exposures begin at whole seconds, and the survey's Julian dates are cut after seven digits, up to 8.6 ms before.
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=jd - _JD_OF_UNIX, milliseconds=10)
    return moment.strftime("%Y%m%d_%H%M%S")


def link_exposure(vectors: Floats) -> list[Ints]:
    """Find the trails among the sources of one exposure.

    Parameters
    ----------
    vectors : ndarray
        Unit vectors, shape (n, 3), in an order that does not depend on how they were stored.

    Returns
    -------
    list of ndarray of int64
        Ascending places of each trail's sources; most sources first, then smallest place.
    """
    radius = neighbour_radius(vectors)
    count, first, second = populous_circles(vectors, radius)
    owner = np.full(len(vectors), -1, dtype=np.int64)
    trails = 0
    for place in np.lexsort((second, first, -count)):
        circle = Circle.through(vectors[first[place]], vectors[second[place]])
        along, across = circle.along(vectors), circle.across(vectors)
        members = connected(along, np.abs(across) < CIRCLE_ARCSEC * ARCSEC, radius)
        if (members & (owner < 0)).sum() < FEWEST:
            continue
        members = refine(along, across, members, radius)
        if members.sum() < FEWEST:
            continue
        met, shared = np.unique(owner[members & (owner >= 0)], return_counts=True)
        if shared.sum() > SHARED:
            name = int(met[shared.argmax()])
        else:
            name, trails = trails, trails + 1
        owner[members & (owner < 0)] = name
    found = [np.flatnonzero(owner == name) for name in range(trails)]
    return sorted((one for one in found if len(one) >= FEWEST), key=lambda one: (-len(one), int(one[0])))


@dataclass(frozen=True)
class Circle:
    """A great circle with a zero point.

    Parameters
    ----------
    pole, start, ahead : ndarray
        Unit vectors at right angles: pole of the circle, its zero point, and the point a quarter turn on. Angles along
        the circle count from the zero point, -pi to pi; no exposure is wide enough to meet the seam.
    """

    pole: Floats
    start: Floats
    ahead: Floats

    @classmethod
    def through(cls, first: Floats, second: Floats) -> Circle:
        """Lay the circle through two places; its zero point is the first."""
        pole = np.cross(first, second)
        pole = pole / np.sqrt((pole**2).sum())
        return cls(pole, first, np.cross(pole, first))

    def along(self, vectors: Floats) -> Floats:
        """Angle along the circle (rad)."""
        result: Floats = np.arctan2(_dot(vectors, self.ahead), _dot(vectors, self.start))
        return result

    def across(self, vectors: Floats) -> Floats:
        """Distance from the circle (rad), with sign."""
        result: Floats = np.arcsin(np.clip(_dot(vectors, self.pole), -1, 1))
        return result


def _dot(vectors: Floats, direction: Floats) -> Floats:
    result: Floats = vectors[:, 0] * direction[0] + vectors[:, 1] * direction[1] + vectors[:, 2] * direction[2]
    return result


def neighbour_radius(vectors: Floats) -> float:
    """Say how far apart neighbours on a trail of this exposure may be (rad).

    :data:`NEIGHBOUR_DEG`, or the distance within which a source has :data:`NEIGHBOURS` others on average, if that is
    less: the denser the exposure, the more often unrelated sources stand in line.

    Parameters
    ----------
    vectors : ndarray
        Unit vectors, shape (n, 3).
    """
    tree = cKDTree(vectors)
    radius = np.radians(NEIGHBOUR_DEG)
    while True:
        pairs = int(tree.count_neighbors(tree, 2 * np.sin(radius / 2))) - len(vectors)
        if pairs <= NEIGHBOURS * len(vectors) or radius < 2 * PAIR_ARCSEC * ARCSEC:
            return float(radius)
        radius *= 0.9


def populous_circles(vectors: Floats, radius: float) -> tuple[Ints, Ints, Ints]:
    """Find the pairs of neighbours whose great circle has enough sources in a row.

    Parameters
    ----------
    vectors : ndarray
        Unit vectors, shape (n, 3).
    radius : float
        Largest distance of neighbours (rad).

    Returns
    -------
    count, first, second : ndarray of int64
        Sources in the row, and the pair that the circle goes through, first < second.
    """
    pairs = cKDTree(vectors).query_pairs(2 * np.sin(radius / 2), output_type="ndarray").astype(np.int64)
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    poles = np.cross(vectors[pairs[:, 0]], vectors[pairs[:, 1]])
    sines = np.sqrt((poles**2).sum(axis=1))
    apart = sines > np.sin(PAIR_ARCSEC * ARCSEC)
    pairs, poles = pairs[apart], poles[apart] / sines[apart, None]
    counts = np.zeros(len(pairs), dtype=np.int64)
    for start in range(0, len(pairs), PAIRS_AT_ONCE):
        some = slice(start, start + PAIRS_AT_ONCE)
        near = np.abs(poles[some] @ vectors.T) < np.sin(CIRCLE_ARCSEC * ARCSEC)
        for place in start + np.flatnonzero(near.sum(axis=1) >= FEWEST):
            circle = Circle.through(*vectors[pairs[place]])
            counts[place] = connected(circle.along(vectors), near[place - start], radius).sum()
    enough = counts >= FEWEST
    return counts[enough], pairs[enough, 0], pairs[enough, 1]


def connected(along: Floats, members: Bools, radius: float) -> Bools:
    """Keep the longest row of members without a gap wider than `radius`; of rows with as many, the first."""
    places = np.flatnonzero(members)
    ordered = places[np.lexsort((places, along[places]))]
    rows = np.split(ordered, np.flatnonzero(np.diff(along[ordered]) > radius) + 1)
    kept = np.zeros(len(members), dtype=bool)
    kept[max(rows, key=len)] = True
    return kept


def refine(along: Floats, across: Floats, members: Bools, radius: float) -> Bools:
    """Fit a parabola along the track again and again, and keep what is near it.

    Parameters
    ----------
    along, across : ndarray
        Place of all sources of the exposure on the circle near which the trail lies (rad).
    members : ndarray of bool
        Those to begin with.
    radius : float
        Largest gap (rad).

    Returns
    -------
    ndarray of bool
        Sources within 1 arcsec of the last parabola, in a row and without a stray end; none if the fit loses its hold.
    """
    for _ in range(REFITS):
        near = np.abs(across - _parabola(along, across, members)) < TRACK_ARCSEC * ARCSEC
        near = _without_stray_end(along, connected(along, near, radius))
        if (near == members).all():
            break
        members = near
        if members.sum() < 3:
            return np.zeros(len(members), dtype=bool)
    return members


def _parabola(along: Floats, across: Floats, members: Bools) -> Floats:
    """Give the best parabola through members at the places of all sources."""
    middle = along[members].mean()
    scale = max(float(np.abs(along[members] - middle).max()), ARCSEC)
    x = (along - middle) / scale
    design = np.stack([np.ones_like(x), x, x * x], axis=1)
    coefficients = np.linalg.lstsq(design[members], across[members], rcond=None)[0]
    result: Floats = design @ coefficients
    return result


def _without_stray_end(along: Floats, members: Bools) -> Bools:
    """Drop one end of a trail if the gap before it is nearly the whole length."""
    places = np.flatnonzero(members)
    if len(places) < 3:
        return members
    ordered = places[np.lexsort((places, along[places]))]
    gaps = np.diff(along[ordered])
    kept = members.copy()
    if gaps[0] > STRAY_GAP * gaps.sum():
        kept[ordered[0]] = False
    elif gaps[-1] > STRAY_GAP * gaps.sum():
        kept[ordered[-1]] = False
    return kept
