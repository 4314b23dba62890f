"""The part of the sky that a catalogue covers. Outside it nothing is known, so "no match" would be a lie."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from fink_lib.errors import ConfigError
from fink_lib.science.coordinates import unit_vectors

Floats = npt.NDArray[np.float64]
Cone = tuple[float, float, float]


class Coverage:
    """Union of cones, or the whole sky.

    Parameters
    ----------
    cones : sequence of (ra_deg, dec_deg, radius_deg), optional
        ``None``: all sky. An empty sequence covers nothing.

    Raises
    ------
    ConfigError
        If a cone is not three finite numbers with a radius between 0 and 180 degrees.
    """

    def __init__(self, cones: Sequence[Sequence[float]] | None = None) -> None:
        self.cones: list[Cone] | None = None
        self._trees: list[tuple[cKDTree, float]] = []
        if cones is None:
            return
        table = np.array(list(cones), dtype=np.float64).reshape(-1, 3)
        if not (np.isfinite(table).all() and (table[:, 2] >= 0).all() and (table[:, 2] <= 180).all()):
            raise ConfigError("a catalogue's coverage must be a list of [ra, dec, radius] in degrees, radius 0 to 180")
        self.cones = [(float(ra), float(dec), float(radius)) for ra, dec, radius in table]
        for radius in np.unique(table[:, 2]):
            centres = table[table[:, 2] == radius]
            tree = cKDTree(unit_vectors(centres[:, 0], centres[:, 1]))
            self._trees.append((tree, 2 * np.sin(np.radians(radius) / 2)))

    @property
    def all_sky(self) -> bool:
        """Whether everything is covered."""
        return self.cones is None

    @property
    def area_sq_deg(self) -> float:
        """Covered area (square degrees); cones that overlap are counted twice."""
        if self.cones is None:
            return float(4 * np.pi * np.degrees(1) ** 2)
        return float(sum(2 * np.pi * (1 - np.cos(np.radians(cone[2]))) for cone in self.cones) * np.degrees(1) ** 2)

    def contains(self, ra_deg: Floats, dec_deg: Floats) -> npt.NDArray[np.bool_]:
        """Tell which positions are covered; a cone's edge is, NaN is not.

        Parameters
        ----------
        ra_deg, dec_deg : ndarray
            ICRS positions (deg).
        """
        known = np.isfinite(ra_deg) & np.isfinite(dec_deg)
        if self.cones is None or not known.any():
            return known
        inside = np.zeros(len(known), dtype=bool)
        directions = unit_vectors(ra_deg[known], dec_deg[known])
        for tree, chord in self._trees:
            distance, _ = tree.query(directions)
            inside[known] |= distance <= chord + 1e-14
        return inside
