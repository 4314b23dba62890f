"""What a service has said about some positions, in the shape of a catalogue."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fink_lib.errors import ConfigError
from fink_lib.science.catalogs import Matches, Nearest
from fink_lib.science.catalogs.catalog import ARCSEC_PER_RAD, healpix_index
from fink_lib.science.coordinates import unit_vectors
from fink_lib.science.history import ragged_ranges, to_floats
from fink_lib.science.services.cache import Rows

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DEPTH = 14
"""HEALPix depth of the cells that are asked for: 13 arcsec wide, so one answer serves an object for good."""

CELL_RADIUS_ARCSEC = 13.5
"""No corner of a cell of this depth is farther from its centre (13.454 at most)."""

MARGIN_ARCSEC = 2.0
"""Sources are asked for so far beyond the corners: the largest match radius."""


def cells_of(ra_deg: Floats, dec_deg: Floats) -> Ints:
    """Give the cells of positions (deg); -1 where there is no position."""
    known = np.isfinite(ra_deg) & np.isfinite(dec_deg)
    cells = np.full(len(ra_deg), -1, dtype=np.int64)
    if known.any():
        cells[known] = healpix_index(ra_deg[known], dec_deg[known], DEPTH)
    return cells


class Answers:
    """The sources around the cells of some positions, as far as they are known.

    Parameters
    ----------
    columns : sequence of str
        Names of what follows right ascension and declination in each row.
    types : mapping of str to pyarrow.DataType
        Their types.
    cells : ndarray of int64
        Cell of each position, as of :func:`cells_of`.
    told : mapping of int to list
        Cell to its sources; a cell that is absent is not known.
    """

    def __init__(
        self, columns: Sequence[str], types: Mapping[str, pa.DataType], cells: Ints, told: Mapping[int, Rows]
    ) -> None:
        wanted = [cell for cell in np.unique(cells).tolist() if cell in told]
        rows = [row for cell in wanted for row in told[cell]]
        values: Sequence[Sequence[Any]] = list(zip(*rows, strict=True)) or [()] * (2 + len(columns))
        kinds = {"ra": pa.float64(), "dec": pa.float64(), **{name: types[name] for name in columns}}
        self._columns = {name: pa.array(part, kind) for (name, kind), part in zip(kinds.items(), values, strict=True)}
        lengths = np.array([len(told[cell]) for cell in wanted], dtype=np.int64)
        first = np.cumsum(lengths) - lengths
        order = np.searchsorted(np.array(wanted, dtype=np.int64), cells)
        self.covered = np.isin(cells, wanted)
        known = np.flatnonzero(self.covered)
        self._position = np.repeat(known, lengths[order[known]])
        self._source = ragged_ranges(first[order[known]], lengths[order[known]])

    def nearest(
        self,
        ra_deg: Floats,
        dec_deg: Floats,
        radius_arcsec: float,
        accept: Callable[[Matches], npt.NDArray[np.bool_]] | None = None,
    ) -> Nearest:
        """Find the nearest source strictly closer than a radius, as a local catalogue does.

        Parameters
        ----------
        ra_deg, dec_deg : ndarray
            The positions that the cells were of.
        radius_arcsec : float
            At most :data:`MARGIN_ARCSEC`.
        accept : callable, optional
            Tells which pairs count; all if not given.

        Raises
        ------
        ConfigError
            If the radius is larger: sources would be missed.
        """
        if not 0 < radius_arcsec <= MARGIN_ARCSEC:
            raise ConfigError(f"a service is asked for sources within {MARGIN_ARCSEC} arcsec, not {radius_arcsec}")
        position, source = self._position, self._source
        ra, dec = (to_floats(self._columns[axis]) for axis in ("ra", "dec"))
        chord = unit_vectors(ra_deg, dec_deg)[position] - unit_vectors(ra, dec)[source]
        x, y, z = chord.T
        separation = 2 * np.arcsin(np.minimum(np.sqrt(x * x + y * y + z * z) / 2, 1)) * ARCSEC_PER_RAD
        near = np.flatnonzero(separation < radius_arcsec)
        near = near[np.lexsort((source[near], separation[near], position[near]))]
        found = Matches(position[near], source[near], separation[near])
        counts = np.flatnonzero(accept(found)) if accept else np.arange(len(near))
        matched, place = np.unique(found.position[counts], return_index=True)
        best = np.full(len(ra_deg), -1, dtype=np.int64)
        distance = np.full(len(ra_deg), np.nan)
        best[matched] = found.source[counts[place]]
        distance[matched] = found.separation_arcsec[counts[place]]
        return Nearest(best, distance, self.covered)

    def column(self, name: str, source: Ints) -> pa.Array:
        """Give a column at some rows; null where the row is -1."""
        return self._columns[name].take(pa.array(source, mask=source < 0))
