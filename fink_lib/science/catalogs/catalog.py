"""The local catalogue format, and matching positions with it.

A built catalogue is a folder of memory-mapped files, sorted by the HEALPix number of each source (nested, nside 2^29),
so that a cell of any depth is one run of rows:

``index.npy``
    HEALPix number of each source (int64).
``directions.npy``
    Unit vector of each source (float64, n x 3).
``sources.arrow``
    Position and columns of each source (Arrow IPC).
``catalog.json``
    Name, version, source digest, coverage, digests of the three files.

A search looks at the cell of a position and the eight around it, at a depth where a cell is wider than the radius. The
files are mapped, not read, so all processes of a machine share one copy in the page cache; a KD-tree (scipy) is as fast
but lives in each process and takes a second to build. HEALPix numbers come from cdshealpix, the implementation of the
CDS, which is vectorised and small.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from astropy.coordinates import Latitude, Longitude
from cdshealpix import nested

from fink_lib.errors import ConfigError
from fink_lib.science.catalogs.coverage import Coverage
from fink_lib.science.coordinates import unit_vectors
from fink_lib.science.history import ragged_ranges

FORMAT = 1
MAX_DEPTH = 29

INDEX_FILE, DIRECTIONS_FILE, SOURCES_FILE, META_FILE = (
    "index.npy",
    "directions.npy",
    "sources.arrow",
    "catalog.json",
)

CELL_WIDTH_RAD = 0.5
"""A cell of depth d is nowhere narrower than this / 2^d (the true bound is 0.67 / 2^d at depth 3 and more)."""

ARCSEC_PER_RAD = 180 / np.pi * 3600
MAX_RADIUS_ARCSEC = 36000.0

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Matches:
    """All pairs closer than a radius, sorted by position, then separation, then source.

    Parameters
    ----------
    position : ndarray of int64
        Place of the position in the query.
    source : ndarray of int64
        Row of the source in the catalogue.
    separation_arcsec : ndarray of float64
        Great-circle distance.
    """

    position: Ints
    source: Ints
    separation_arcsec: Floats


@dataclass(frozen=True)
class Nearest:
    """For each position of a query, its nearest source.

    Parameters
    ----------
    source : ndarray of int64
        Row of the source in the catalogue; -1 if there is none within the radius.
    separation_arcsec : ndarray of float64
        Great-circle distance; NaN if there is none.
    covered : ndarray of bool
        Whether the catalogue covers the position; where it does not, having no source means nothing.
    """

    source: Ints
    separation_arcsec: Floats
    covered: npt.NDArray[np.bool_]


def healpix_index(ra_deg: Floats, dec_deg: Floats, depth: int = MAX_DEPTH) -> Ints:
    """Give the nested HEALPix number of positions (deg)."""
    longitude = Longitude(np.mod(ra_deg, 360.0), u.deg)
    cells: Ints = nested.lonlat_to_healpix(longitude, Latitude(dec_deg, u.deg), depth, num_threads=1).astype(np.int64)
    return cells


class Catalog:
    """A built catalogue, memory-mapped.

    Parameters
    ----------
    folder : Path
        Where it was built.

    Raises
    ------
    ConfigError
        If the folder does not hold a catalogue of this format.
    """

    def __init__(self, folder: Path) -> None:
        try:
            meta: dict[str, Any] = json.loads((folder / META_FILE).read_text())
            if meta["format"] != FORMAT:
                raise ConfigError(f"{folder} has catalogue format {meta['format']}, not {FORMAT}; build it again")
            self.folder = folder
            self.name: str = meta["name"]
            self.version: str = meta["version"]
            self.sha256: str = meta["source_sha256"]
            self.files: dict[str, str] = meta["files"]
            self.dropped: int = meta["dropped"]
            self.coverage = Coverage(meta["coverage"])
            self._index: Ints = np.load(folder / INDEX_FILE, mmap_mode="r")
            self._directions: Floats = np.load(folder / DIRECTIONS_FILE, mmap_mode="r")
            with pa.ipc.open_file(pa.memory_map(str(folder / SOURCES_FILE))) as reader:
                self.sources: pa.Table = reader.read_all()
        except (OSError, EOFError, ValueError, KeyError, pa.ArrowInvalid) as error:
            raise ConfigError(
                f"{folder} is not a usable catalogue ({error}); remove it and run: fink catalogs build"
            ) from error

    def __len__(self) -> int:
        return len(self._index)

    @property
    def provenance(self) -> str:
        """Version and source digest, as stored with every alert that was matched."""
        return f"{self.version}@sha256:{self.sha256[:16]}"

    def within(self, ra_deg: Floats, dec_deg: Floats, radius_arcsec: float | Floats) -> Matches:
        """Find all sources strictly closer than a radius.

        Parameters
        ----------
        ra_deg, dec_deg : ndarray
            ICRS positions (deg); NaN matches nothing.
        radius_arcsec : float or ndarray
            More than 0, at most 10 degrees; one for all positions, or one for each.

        Returns
        -------
        Matches

        Raises
        ------
        ConfigError
            If a radius is out of range.
        """
        radius = np.broadcast_to(np.asarray(radius_arcsec, dtype=np.float64), ra_deg.shape)
        outside = ~((radius > 0) & (radius <= MAX_RADIUS_ARCSEC))
        if outside.any():
            raise ConfigError(f"match radius {radius[outside][0]} arcsec is outside (0, {MAX_RADIUS_ARCSEC:.0f}]")
        known = np.flatnonzero(np.isfinite(ra_deg) & np.isfinite(dec_deg))
        if not len(known) or not len(self):
            return Matches(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
        depth = np.floor(np.log2(CELL_WIDTH_RAD * ARCSEC_PER_RAD / radius[known])).astype(np.int64)
        depth = np.minimum(depth, MAX_DEPTH)
        pieces = []
        for level in np.unique(depth):
            rows = known[depth == level]
            position, source, separation = self._candidates(ra_deg[rows], dec_deg[rows], int(level))
            near = separation < radius[rows[position]]
            pieces.append((rows[position[near]], source[near], separation[near]))
        position, source, separation = (np.concatenate(parts) for parts in zip(*pieces, strict=True))
        order = np.lexsort((source, separation, position))
        return Matches(position[order], source[order], separation[order])

    def _candidates(self, ra: Floats, dec: Floats, depth: int) -> tuple[Ints, Ints, Floats]:
        """Give each position's sources in its cell of a depth and the cells around it, with separations (arcsec)."""
        shift = 2 * (MAX_DEPTH - depth)
        cells = nested.neighbours(healpix_index(ra, dec, depth).astype(np.uint64), depth, num_threads=1)
        # Some cells have only seven neighbours; the missing one becomes an empty run at the start.
        first = np.searchsorted(self._index, np.maximum(cells, 0) << shift)
        last = np.searchsorted(self._index, (cells + 1) << shift)
        lengths = np.where(cells >= 0, last - first, 0)
        position = np.repeat(np.arange(len(ra)), lengths.sum(axis=1))
        source = ragged_ranges(first.ravel(), lengths.ravel())
        chord = unit_vectors(ra, dec)[position] - self._directions[source]
        x, y, z = chord.T
        separation = 2 * np.arcsin(np.minimum(np.sqrt(x * x + y * y + z * z) / 2, 1)) * ARCSEC_PER_RAD
        return position, source, separation

    def nearest(
        self,
        ra_deg: Floats,
        dec_deg: Floats,
        radius_arcsec: float | Floats,
        accept: Callable[[Matches], npt.NDArray[np.bool_]] | None = None,
    ) -> Nearest:
        """Find the nearest source strictly closer than a radius (see :meth:`within`).

        Of sources at one distance the first in the catalogue's order is taken, which depends on the sources alone.

        Parameters
        ----------
        ra_deg, dec_deg, radius_arcsec
            See :meth:`within`.
        accept : callable, optional
            Tells which pairs count; all if not given.
        """
        found = self.within(ra_deg, dec_deg, radius_arcsec)
        counts = np.flatnonzero(accept(found)) if accept else np.arange(len(found.position))
        position, first = np.unique(found.position[counts], return_index=True)
        source = np.full(len(ra_deg), -1, dtype=np.int64)
        separation = np.full(len(ra_deg), np.nan)
        source[position] = found.source[counts[first]]
        separation[position] = found.separation_arcsec[counts[first]]
        return Nearest(source, separation, self.coverage.contains(ra_deg, dec_deg))

    def column(self, name: str, source: Ints) -> pa.Array:
        """Give a column at some rows; null where the row is -1."""
        taken = self.sources.column(name).take(pa.array(source, mask=source < 0))
        combined = taken.combine_chunks()
        return combined if isinstance(combined, pa.Array) else pa.concat_arrays(combined.chunks)
