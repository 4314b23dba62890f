"""Whole alerts of the lake, row by row, in a file that nobody else sees.

A Parquet file keeps a column in one piece, so an alert of 168 columns costs as many looks. A part of a file that was
asked for once is packed as the archive packs its cells: after that an alert is one look, wherever it comes from, and
what reads the archive's rows reads these too. Files of the lake never change, so what is packed stays right.
"""

from __future__ import annotations

import os
import tempfile
import threading
import weakref
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fink_lib.archive.codec import Layout

LEAST_DEAD_BYTES = 64 * 1024 * 1024
"""Rows of files that are gone stay where they are until there are so many, and more than of files that are not."""

Ints = npt.NDArray[np.int64]
Key = tuple[str, int]
"""File, number of the part."""


class _Spool:
    """The file, and where the rows of each part are in it; it is closed when nobody reads it any more."""

    def __init__(self) -> None:
        with tempfile.TemporaryFile() as file:
            self.number = os.dup(file.fileno())
        weakref.finalize(self, os.close, self.number)
        self.places: dict[Key, Ints] = {}
        self.end = 0

    def add(self, key: Key, cells: list[bytes]) -> None:
        """Write rows behind the last ones."""
        lengths = np.fromiter(map(len, cells), np.int64, len(cells))
        places = self.end + np.concatenate(([0], np.cumsum(lengths)))
        rest = memoryview(b"".join(cells))
        while rest:
            written = os.pwrite(self.number, rest, self.end)
            rest, self.end = rest[written:], self.end + written
        self.places[key] = places

    def read(self, places: Ints, row: int) -> bytes:
        """Read a row of a part."""
        begin, end = int(places[row]), int(places[row + 1])
        return os.pread(self.number, end - begin, begin)

    @property
    def live_bytes(self) -> int:
        """How much belongs to parts that are still asked for."""
        return sum(int(places[-1] - places[0]) for places in self.places.values())


@dataclass
class PackedRows:
    """Packed alerts of parts of files.

    Parameters
    ----------
    layout : Layout
        How they are packed.
    """

    layout: Layout
    _spool: _Spool = field(default_factory=_Spool, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def take(self, key: Key, rows: Ints, read: Callable[[], pa.Table]) -> list[bytes]:
        """Give some rows of a part, in the order of their numbers in `rows`.

        Parameters
        ----------
        key : tuple
            File and number of the part.
        rows : numpy.ndarray
            Numbers of rows inside the part.
        read : callable
            Gives all rows of the part in the columns of the layout; called the first time.
        """
        spool = self._spool
        places = spool.places.get(key)
        if places is None:
            with self._lock:  # who wants the same part waits for it instead of packing it again
                spool = self._spool
                if key not in spool.places:
                    spool.add(key, self.layout.encode(read()))
                places = spool.places[key]
        return [spool.read(places, row) for row in rows.tolist()]

    def keep(self, paths: Collection[str]) -> None:
        """Forget the parts of all other files; their room is given back when it is worth it."""
        with self._lock:
            spool = self._spool
            for key in [key for key in spool.places if key[0] not in paths]:
                del spool.places[key]
            if spool.end - spool.live_bytes > max(spool.live_bytes, LEAST_DEAD_BYTES):
                self._spool = _Spool()  # who reads the old one holds it open until done
