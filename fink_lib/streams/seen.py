"""The ids that a night's science rows have, kept in memory to find duplicates.

A row is a duplicate if `science` holds its id from *another* place in Kafka. A batch that is replayed after a kill
therefore never rejects its own rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]
Origins = npt.NDArray[np.uint64]

MOST_RUNS = 16


def origin_of(topic: str, partition: int, offset: int) -> int:
    """Name a place in Kafka by 64 bits.

    Two of 10^7 rows share a name with a chance of 3e-6, and a clash would have to be between two copies of one alert
    to do harm.
    """
    return int.from_bytes(hashlib.blake2b(f"{topic}/{partition}/{offset}".encode(), digest_size=8).digest(), "little")


class NightIds:
    """Ids of one night with the place each came from: sorted runs, 16 bytes a row."""

    def __init__(self) -> None:
        self._runs: list[tuple[Ids, Origins]] = []

    def __len__(self) -> int:
        return sum(ids.size for ids, _ in self._runs)

    def add(self, ids: Ids, origins: Origins) -> None:
        """Remember rows that are in `science`."""
        if ids.size == 0:
            return
        order = np.argsort(ids, kind="stable")
        self._runs.append((ids[order], origins[order]))
        if len(self._runs) > MOST_RUNS:
            merged = np.concatenate([run[0] for run in self._runs])
            places = np.concatenate([run[1] for run in self._runs])
            order = np.argsort(merged, kind="stable")
            self._runs = [(merged[order], places[order])]

    def elsewhere(self, ids: Ids, origins: Origins) -> npt.NDArray[np.bool_]:
        """Tell for each row whether its id is known from another place."""
        known = np.zeros(ids.size, bool)
        for run_ids, run_origins in self._runs:
            at = np.searchsorted(run_ids, ids)
            inside = at < run_ids.size
            at = np.where(inside, at, 0)
            known |= inside & (run_ids[at] == ids) & (run_origins[at] != origins)
        return known


class SeenIds:
    """The nights that are being received, loaded when first met.

    Parameters
    ----------
    load : callable
        Gives (ids, origins) of a night's rows that are in `science` already.
    """

    def __init__(self, load: Callable[[str], tuple[Ids, Origins]]) -> None:
        self._load = load
        self._nights: dict[str, NightIds] = {}
        self._numbers: dict[str, int] = {}

    def renew(self, night: str, number: Callable[[int], int]) -> None:
        """Forget a night whose rows were made anew since it was loaded: a replay may have brought in other alerts.

        Parameters
        ----------
        night : str
            ``YYYYMMDD``.
        number : callable
            Takes how often the night had been made anew when it was asked last, and gives how often it has been now.
        """
        before = self._numbers.get(night, 0)
        self._numbers[night] = number(before)
        if self._numbers[night] != before:
            self._nights.pop(night, None)

    def night(self, night: str) -> NightIds:
        """Give the ids of a night."""
        if night not in self._nights:
            self._nights[night] = NightIds()
            self._nights[night].add(*self._load(night))
        return self._nights[night]


def first_of_each(ids: Ids, order: Sequence[int] | npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Mark the first row of each id when rows are taken in `order`.

    Parameters
    ----------
    ids : array of int64
        One per row.
    order : array of int
        The rows, first received first.

    Returns
    -------
    array of bool
        True for the row that stays.
    """
    taken = np.asarray(order, np.int64)
    _, first = np.unique(ids[taken], return_index=True)
    keep = np.zeros(ids.size, bool)
    keep[taken[first]] = True
    return keep
