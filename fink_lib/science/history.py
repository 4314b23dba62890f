"""Light curves of a batch as flat arrays: history and the alert itself, sorted by rules that make the order total.

``c<x>`` of the science specification is ``history.values("x")``: the earlier entries followed by the alert's own
measurement, of all alerts of the batch one after the other; ``history.offsets`` says where each alert's entries begin.
Built once per batch and shared by all modules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.science.layout import Layout

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def to_floats(array: pa.Array) -> Floats:
    """Give an Arrow column of numbers as float64, NaN where it is null."""
    if not pa.types.is_float64(array.type):
        array = array.cast(pa.float64())
    values: Floats = array.to_numpy(zero_copy_only=False)
    return values


def to_ints(array: pa.Array, missing: int) -> Ints:
    """Give an Arrow column of whole numbers as int64, `missing` where it is null."""
    filled = pc.fill_null(array.cast(pa.int64()), missing)
    values: Ints = filled.to_numpy(zero_copy_only=False)
    return values


def ragged_ranges(starts: Ints, lengths: Ints) -> Ints:
    """Concatenate the ranges ``start .. start + length`` of many rows.

    >>> ragged_ranges(np.array([5, 20]), np.array([2, 3])).tolist()
    [5, 6, 20, 21, 22]
    """
    ends = np.cumsum(lengths)
    within = np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - lengths, lengths)
    result: Ints = np.repeat(starts, lengths) + within
    return result


@dataclass(frozen=True)
class _Source:
    """The struct arrays that entries are picked from: earlier entries of all alerts, then the alerts' own."""

    previous: pa.StructArray
    own: pa.StructArray
    fields: dict[str, pa.Array]

    def field(self, name: str) -> pa.Array:
        if name not in self.fields:
            parts = [_child(self.previous, name), _child(self.own, name)]
            known = next((part.type for part in parts if part is not None), None)
            if known is None:
                raise KeyError(name)
            sizes = (len(self.previous), len(self.own))
            filled = [
                pa.nulls(size, known) if part is None else part.cast(known)
                for part, size in zip(parts, sizes, strict=True)
            ]
            self.fields[name] = pa.concat_arrays(filled)
        return self.fields[name]


def _child(structs: pa.StructArray, name: str) -> pa.Array | None:
    return pc.struct_field(structs, name) if structs.type.get_field_index(name) >= 0 else None


class History:
    """Light curves of the alerts that a module sees.

    Attributes
    ----------
    offsets : ndarray of int64
        Entries of alert ``i`` are ``offsets[i]:offsets[i + 1]``; there is at least the alert itself.
    winner : ndarray of bool
        False for an entry whose time and band another entry of the same alert has too, and wins: the alert itself, else
        the one with the largest id. One exposure can give two detections beside one object.
    """

    def __init__(
        self,
        source: _Source,
        layout: Layout,
        picks: Ints,
        offsets: Ints,
        winner: Bools,
        may_read: Callable[[str], None] | None = None,
    ) -> None:
        self._source = source
        self._layout = layout
        self._picks = picks
        self._may_read = may_read
        self._cache: dict[str, Floats] = {}
        self.offsets = offsets
        self.winner = winner

    def __len__(self) -> int:
        return len(self._picks)

    @property
    def lengths(self) -> Ints:
        """Number of entries of each alert, limits included."""
        return np.diff(self.offsets)

    @cached_property
    def alert(self) -> Ints:
        """Place of the alert that each entry belongs to."""
        return np.repeat(np.arange(len(self.offsets) - 1), self.lengths)

    @cached_property
    def own(self) -> Bools:
        """Whether each entry is the alert itself and not an earlier one."""
        result: Bools = self._picks >= len(self._source.previous)
        return result

    @cached_property
    def time(self) -> Floats:
        """Time of each entry (d, in the survey's own scale); never NaN."""
        return self._floats(self._layout.time)

    @cached_property
    def band(self) -> Ints | npt.NDArray[Any]:
        """Filter of each entry: -1 where a numbered filter is null, None where a named one is."""
        column = self._take(self._layout.band)
        if pa.types.is_integer(column.type):
            return to_ints(column, -1)
        names: npt.NDArray[Any] = column.to_numpy(zero_copy_only=False)
        return names

    @cached_property
    def valid(self) -> Bools:
        """Whether each entry is a detection: value and error neither null nor NaN."""
        both = (self._floats(self._layout.magnitude), self._floats(self._layout.error))
        result: Bools = ~(np.isnan(both[0]) | np.isnan(both[1]))
        return result

    def count(self, entries: Bools) -> Ints:
        """Count, per alert, the entries that are true."""
        sums = np.concatenate(([0], np.cumsum(entries)))
        result: Ints = (sums[self.offsets[1:]] - sums[self.offsets[:-1]]).astype(np.int64)
        return result

    def values(self, name: str) -> Floats:
        """Give field `name` of each entry as float64, NaN where it is null.

        Raises
        ------
        UndeclaredError
            If the module does not declare ``history.<name>``.
        """
        self._check(name)
        return self._floats(name)

    def arrow(self, name: str) -> pa.Array:
        """Give field `name` of each entry as an Arrow array of its own type (see :meth:`values`)."""
        self._check(name)
        return self._take(name)

    def select(self, rows: Ints | None, may_read: Callable[[str], None]) -> History:
        """Give the light curves of some alerts, to a module that may read some fields."""
        if rows is None:
            view = History(self._source, self._layout, self._picks, self.offsets, self.winner, may_read)
            view._cache = self._cache
            return view
        lengths = self.lengths[rows]
        entries = ragged_ranges(self.offsets[:-1][rows], lengths)
        return History(
            self._source, self._layout, self._picks[entries], _offsets(lengths), self.winner[entries], may_read
        )

    def where(self, entries: Bools) -> History:
        """Give the light curves without the entries that are false; ``where(winner)`` has each (time, band) once."""
        return History(
            self._source,
            self._layout,
            self._picks[entries],
            _offsets(self.count(entries)),
            self.winner[entries],
            self._may_read,
        )

    def _check(self, name: str) -> None:
        if self._may_read is not None:
            self._may_read(f"history.{name}")

    def _take(self, name: str) -> pa.Array:
        return self._source.field(name).take(pa.array(self._picks))

    def _floats(self, name: str) -> Floats:
        if name not in self._cache:
            values = to_floats(self._source.field(name))[self._picks]
            values.flags.writeable = False
            self._cache[name] = values
        return self._cache[name]


def _offsets(lengths: Ints) -> Ints:
    result: Ints = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    return result


def build_history(previous: pa.ListArray, own: pa.StructArray, layout: Layout) -> History:
    """Merge earlier entries and own measurements into sorted light curves.

    Entries are sorted by time, then band; of one time and band, by `layout.identity`, the alert itself last. Entries
    without a time are dropped: they have no place in a light curve.

    Parameters
    ----------
    previous : pyarrow.ListArray of struct
        Earlier entries of each alert; null where there are none.
    own : pyarrow.StructArray
        The measurement of each alert.
    layout : Layout
        Which fields are time, band and identity.
    """
    size = len(own)
    flat = previous.flatten()
    before = pc.fill_null(pc.list_value_length(previous), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    source = _Source(flat, own, {})
    lengths = before + 1
    offsets = _offsets(lengths)
    picks = ragged_ranges(offsets[:-1] - np.arange(size), lengths)
    picks[offsets[1:] - 1] = len(flat) + np.arange(size)

    alert = np.repeat(np.arange(size), lengths)
    time = to_floats(source.field(layout.time))[picks]
    timed = ~np.isnan(time)
    unsorted = np.zeros(size, dtype=bool)
    out_of_order = ~(np.diff(time) > 0) & (np.diff(alert) == 0)
    unsorted[alert[1:][out_of_order]] = True
    winner = np.ones(len(picks), dtype=bool)
    entries = np.flatnonzero(unsorted[alert] & timed)
    if len(entries):
        order, last = _sort(source, layout, picks[entries], alert[entries], time[entries])
        picks[entries] = picks[entries][order]
        winner[entries] = last
    kept_lengths = np.bincount(alert[timed], minlength=size).astype(np.int64)
    return History(source, layout, picks[timed], _offsets(kept_lengths), winner[timed])


def _sort(source: _Source, layout: Layout, picks: Ints, alert: Ints, time: Floats) -> tuple[Ints, Bools]:
    """Order entries, and mark those that are the last of their (alert, time, band)."""
    column = source.field(layout.band).take(pa.array(picks))
    if pa.types.is_integer(column.type):
        band = to_ints(column, -1)
    else:
        names = pc.fill_null(column, "").to_numpy(zero_copy_only=False)
        band = np.unique(names, return_inverse=True)[1]
    keys: list[npt.NDArray[Any]] = [alert, time, band, picks >= len(source.previous)]
    for name in layout.identity:
        identity = source.field(name)
        if pa.types.is_integer(identity.type):
            keys.append(to_ints(identity, np.iinfo(np.int64).min)[picks])
        else:
            keys.append(np.nan_to_num(to_floats(identity)[picks], nan=-np.inf))
    order: Ints = np.lexsort(tuple(reversed(keys)))
    same = np.ones(len(order) - 1, dtype=bool)
    for key in keys[:3]:
        same &= key[order][1:] == key[order][:-1]
    return order, np.append(~same, True)
