"""Offsets that Kafka has against offsets that the lake has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Place = tuple[str, int]


@dataclass(frozen=True)
class OffsetReport:
    """How the rows of the lake cover the offsets of some partitions.

    Parameters
    ----------
    missing : dict
        Offsets that should hold a record and are in no row.
    doubled : dict
        Offsets that are in more than one row.
    beyond : dict
        Offsets of rows that the partition does not have (yet): the topic was made anew under its old name.
    expired : int
        Rows whose offsets retention has removed from Kafka.
    """

    missing: dict[Place, list[int]]
    doubled: dict[Place, list[int]]
    beyond: dict[Place, list[int]]
    expired: int


def by_place(rows: pa.Table) -> dict[Place, npt.NDArray[np.int64]]:
    """Sort the offsets of rows with columns ``topic``, ``partition``, ``offset`` by partition."""
    if rows.num_rows == 0:
        return {}
    grouped = rows.group_by(["topic", "partition"]).aggregate([("offset", "list")])
    return {
        (row["topic"], row["partition"]): np.sort(np.asarray(row["offset_list"], np.int64))
        for row in grouped.to_pylist()
    }


def compare_offsets(
    begins: Mapping[Place, int],
    ends: Mapping[Place, int],
    later_ends: Mapping[Place, int],
    rows: Mapping[Place, npt.NDArray[np.int64]],
) -> OffsetReport:
    """Compare what the partitions hold with what the rows name.

    Parameters
    ----------
    begins, ends : mapping
        First offset, and offset after the last, of each partition that Kafka has, before the rows were read.
    later_ends : mapping
        The ends again, after the rows were read.
    rows : mapping
        Sorted offsets of the rows; partitions that Kafka no longer has count as expired.
    """
    missing: dict[Place, list[int]] = {}
    doubled: dict[Place, list[int]] = {}
    beyond: dict[Place, list[int]] = {}
    expired = 0
    for place in sorted({*begins, *rows}):
        offsets = rows.get(place, np.empty(0, np.int64))
        distinct = np.unique(offsets)
        if len(distinct) < len(offsets):
            doubled[place] = np.unique(offsets[1:][offsets[1:] == offsets[:-1]]).tolist()
        if place not in begins:
            expired += len(distinct)
            continue
        begin, end = begins[place], ends[place]
        expired += int(np.searchsorted(distinct, begin))
        unborn = distinct[distinct >= later_ends[place]]
        if len(unborn):
            beyond[place] = unborn.tolist()
        gap = np.setdiff1d(np.arange(begin, end), distinct, assume_unique=True)
        if len(gap):
            missing[place] = gap.tolist()
    return OffsetReport(missing, doubled, beyond, expired)


def in_words(places: Mapping[Place, Iterable[int]], limit: int = 3) -> str:
    """Name offsets as ``topic[partition] first-last`` for a sentence.

    >>> in_words({("t", 0): [3, 4, 5, 9], ("t", 1): [7]})
    't[0] 3-5, t[0] 9, t[1] 7'
    """
    told: list[str] = []
    for (topic, partition), offsets in places.items():
        ordered = np.asarray(sorted(offsets), np.int64)
        if len(ordered) == 0:
            continue
        for run in np.split(ordered, np.flatnonzero(np.diff(ordered) > 1) + 1):
            edges = f"{run[0]}" if len(run) == 1 else f"{run[0]}-{run[-1]}"
            told.append(f"{topic}[{partition}] {edges}")
    more = f" and {len(told) - limit} more ranges" if len(told) > limit else ""
    return ", ".join(told[:limit]) + more
