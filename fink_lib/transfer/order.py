"""Where each row of a transfer goes: its partition, and its offset there.

A job's rows come in one fixed order, and an alert's partition follows from its id alone. So the offset of every row is
known before anything is sent: it is the number of rows before it that go to the same partition. A partition that ends
at offset ``n`` holds exactly its first ``n`` rows, and whoever goes on from there repeats none and leaves none out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fink_lib.streams.packet import partition_of

Ints = npt.NDArray[np.int64]


class Places:
    """Gives partition and offset to rows that come in the job's order.

    Parameters
    ----------
    partitions : int
        Of the data topic.
    """

    def __init__(self, partitions: int) -> None:
        self._counts = np.zeros(partitions, np.int64)

    @property
    def counts(self) -> tuple[int, ...]:
        """Rows so far, by partition."""
        return tuple(int(count) for count in self._counts)

    def give(self, ids: Sequence[int]) -> tuple[Ints, Ints]:
        """Place the next rows.

        Parameters
        ----------
        ids : sequence of int
            Ids of their alerts.

        Returns
        -------
        partitions, offsets : numpy.ndarray
            One of each for every row.
        """
        number = len(self._counts)
        partitions = np.fromiter((partition_of(one, number) for one in ids), np.int64, len(ids))
        offsets = np.empty(len(ids), np.int64)
        for partition in np.unique(partitions):
            mine = np.flatnonzero(partitions == partition)
            offsets[mine] = self._counts[partition] + np.arange(len(mine))
            self._counts[partition] += len(mine)
        return partitions, offsets


def left_to_send(partitions: Ints, offsets: Ints, ends: Sequence[int]) -> npt.NDArray[np.bool_]:
    """Tell which rows a topic does not hold yet.

    Parameters
    ----------
    partitions, offsets : numpy.ndarray
        Of some rows.
    ends : sequence of int
        Offset behind the last record of each partition of the topic.
    """
    return np.asarray(offsets >= np.asarray(ends, np.int64)[partitions], np.bool_)


def differences(ends: Sequence[int], expected: Sequence[int]) -> str:
    """Say where a topic holds other numbers of rows than it should; empty if nowhere.

    >>> differences([3, 5], [3, 4])
    'partition 1 holds 5 of 4'
    """
    told = [
        f"partition {place} holds {end} of {wanted}"
        for place, (end, wanted) in enumerate(zip(ends, expected, strict=True))
        if end != wanted
    ]
    more = f" and {len(told) - 3} more" if len(told) > 3 else ""
    return ", ".join(told[:3]) + more
