"""Many light curves in one flat array, and sums over each of them that depend on that curve alone.

A sum over a padded matrix may be taken in another order when the longest curve of the batch is another one, and then
differs in the last bit. ``reduceat`` over a flat array adds the points of one curve in an order that only the curve's
own length decides.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class Segments:
    """Where each curve lies in a flat array.

    Parameters
    ----------
    lengths : ndarray of int64, shape (curves,)
        Points per curve, at least one each.

    Raises
    ------
    ValueError
        If a curve has no point.
    """

    def __init__(self, lengths: Ints) -> None:
        self.lengths: Ints = np.asarray(lengths, dtype=np.int64)
        if self.lengths.size and self.lengths.min() < 1:
            raise ValueError("every curve needs at least one point")
        self.offsets: Ints = np.concatenate(([0], np.cumsum(self.lengths))).astype(np.int64)

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def first(self) -> Ints:
        """Place of each curve's first point."""
        return self.offsets[:-1]

    @property
    def last(self) -> Ints:
        """Place of each curve's last point."""
        return self.offsets[1:] - 1

    @cached_property
    def owner(self) -> Ints:
        """Curve of each point."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    @cached_property
    def rank(self) -> Ints:
        """Number of each point within its curve, from 0."""
        result: Ints = np.arange(int(self.offsets[-1])) - np.repeat(self.first, self.lengths)
        return result

    def sum(self, values: Floats | Bools) -> Floats:
        """Sum over each curve; `values` may have further axes after the points."""
        numbers = np.asarray(values, dtype=np.float64)
        if not len(self):
            return np.zeros((0, *numbers.shape[1:]))
        result: Floats = np.add.reduceat(numbers, self.first, axis=0)
        return result

    def mean(self, values: Floats | Bools) -> Floats:
        """Mean over each curve."""
        sums = self.sum(values)
        return sums / self.lengths.reshape(-1, *([1] * (sums.ndim - 1)))

    def max(self, values: Floats) -> Floats:
        """Largest value of each curve."""
        return np.maximum.reduceat(values, self.first) if len(self) else np.zeros(0)

    def min(self, values: Floats) -> Floats:
        """Smallest value of each curve."""
        return np.minimum.reduceat(values, self.first) if len(self) else np.zeros(0)

    def order(self, values: Floats) -> Ints:
        """Places that sort the values of each curve, ties in the order of the points."""
        return np.lexsort((values, self.owner))

    def quantiles(self, values: Floats, *shares: float) -> list[Floats]:
        """Give quantiles of each curve, linear between the points (as ``numpy.quantile`` does)."""
        ordered = values[self.order(values)]
        found = []
        for share in shares:
            place = share * (self.lengths - 1)
            below = np.floor(place).astype(np.int64)
            above = np.minimum(below + 1, self.lengths - 1)
            low = ordered[self.first + below]
            found.append(low + (place - below) * (ordered[self.first + above] - low))
        return found

    def median(self, values: Floats) -> Floats:
        """Median of each curve."""
        return self.quantiles(values, 0.5)[0]

    def followed(self, steps: int = 1) -> Ints:
        """Places of the points that have another one `steps` later in the same curve."""
        ends = np.repeat(self.lengths, self.lengths)
        return np.flatnonzero(self.rank < ends - steps)

    def sum_of(self, places: Ints, values: Floats) -> Floats:
        """Sum values that belong to some points only; 0 for a curve with none of them."""
        return np.bincount(self.owner[places], weights=values, minlength=len(self)).astype(np.float64)

    def argfirst(self, chosen: Bools) -> Ints:
        """Place of the first chosen point of each curve; the curve's end (one past its last) if there is none."""
        ends = np.repeat(self.offsets[1:], self.lengths)
        places = np.where(chosen, np.arange(len(chosen)), ends)
        if not len(self):
            return np.zeros(0, dtype=np.int64)
        result: Ints = np.minimum.reduceat(places, self.first)
        return result

    def take(self, rows: Ints) -> tuple[Ints, Segments]:
        """Give the places of the points of some curves, and the segments that they form."""
        lengths = self.lengths[rows]
        chosen = Segments(lengths)
        return np.repeat(self.first[rows], lengths) + chosen.rank, chosen
