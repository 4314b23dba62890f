"""What is kept in memory of some files of the lake, and quick ways to the rows of an object or a place in it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

NAME, DECLINATION = "i:objectId", "i:dec"

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Block:
    """The index of some files.

    Parameters
    ----------
    paths : tuple of str
        The files, relative to the table.
    lengths : tuple of int
        How many rows each has.
    rows : pyarrow.Table
        What is kept of all of them.
    """

    paths: tuple[str, ...]
    lengths: tuple[int, ...]
    rows: pa.Table

    def of_objects(self, names: Iterable[str]) -> Ints:
        """Give the numbers of the rows of some objects, in order."""
        codes = [self._codes[name] for name in names if name in self._codes]
        found = [self._by_name[self._begins[code] : self._begins[code + 1]] for code in codes]
        return np.sort(np.concatenate(found)) if found else np.empty(0, np.int64)

    def in_band(self, low_deg: float, high_deg: float) -> Ints:
        """Give the numbers of the rows whose declination is between two values (deg, both included), in order."""
        order, declinations = self._by_declination
        first = np.searchsorted(declinations, low_deg, side="left")
        last = np.searchsorted(declinations, high_deg, side="right")
        return np.sort(order[first:last])

    def only(self, current: Collection[str]) -> Block:
        """Leave out the files that the table does not have any more."""
        kept = [path in current for path in self.paths]
        if all(kept):
            return self
        rows = self.rows.filter(pa.array(np.repeat(kept, self.lengths)))
        pairs = [pair for pair, keep in zip(zip(self.paths, self.lengths, strict=True), kept, strict=True) if keep]
        return Block(tuple(path for path, _ in pairs), tuple(length for _, length in pairs), rows.combine_chunks())

    @cached_property
    def _codes(self) -> dict[str, int]:
        names = self._encoded.dictionary.to_pylist()
        return {name: code for code, name in enumerate(names) if name is not None}

    @cached_property
    def _encoded(self) -> pa.DictionaryArray:
        whole = self.rows.column(NAME).combine_chunks()
        whole = pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole
        return whole.dictionary_encode(null_encoding="encode")

    @cached_property
    def _by_name(self) -> Ints:
        """Rows, those of one name side by side."""
        codes = self._encoded.indices.to_numpy(zero_copy_only=False)
        return np.argsort(codes, kind="stable")

    @cached_property
    def _begins(self) -> Ints:
        """Where the rows of each name begin in that order."""
        codes = self._encoded.indices.to_numpy(zero_copy_only=False)
        counts = np.bincount(codes, minlength=len(self._encoded.dictionary))
        return np.concatenate(([0], np.cumsum(counts))).astype(np.int64)

    @cached_property
    def _by_declination(self) -> tuple[Ints, npt.NDArray[np.float64]]:
        """Rows in order of declination, and these declinations; those without one come last."""
        declinations = self.rows.column(DECLINATION).to_numpy().astype(np.float64)
        order = np.argsort(declinations, kind="stable")
        return order, declinations[order]


def together(blocks: Sequence[Block]) -> Block:
    """Make one block of several."""
    return Block(
        tuple(path for block in blocks for path in block.paths),
        tuple(length for block in blocks for length in block.lengths),
        pa.concat_tables([block.rows for block in blocks]).combine_chunks(),
    )
