"""What earlier generations of a checkpoint have done, so that a new one does not do it again.

Within one generation a batch that is replayed is recognised by its number. A new generation counts from 0, and may
begin before the place that the old one had reached: it recognises rows by where in Kafka they came from.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from fink_lib.lake import Lake

Offsets = npt.NDArray[np.int64]
Field = tuple[str, ...]

PLACE = ("topic", "partition", "offset")
SOURCES: Mapping[str, tuple[Field, Field]] = {
    "raw": (("ingest",), ("ingest", "batch")),
    "quarantine": ((), ("batch",)),
    "science": (("ingest",), ("process", "batch")),
    "rejected": ((), ("batch",)),
}
"""Where the tables keep the place of a row, and the batch that wrote it."""


@dataclass(frozen=True)
class Ranges:
    """Offsets of one partition, as ranges: `first` and `last` of each, in order."""

    first: Offsets
    last: Offsets

    @classmethod
    def of(cls, offsets: Offsets) -> Ranges:
        """Join neighbours together."""
        known = np.unique(offsets)
        ends = np.flatnonzero(np.diff(known) != 1)
        return cls(known[np.concatenate([[0], ends + 1])], known[np.concatenate([ends, [known.size - 1]])])

    def hold(self, offsets: Offsets) -> npt.NDArray[np.bool_]:
        """Tell for each offset whether it is in one of the ranges."""
        at = np.searchsorted(self.first, offsets, side="right") - 1
        return (at >= 0) & (offsets <= self.last[np.maximum(at, 0)])


@dataclass(frozen=True)
class Earlier:
    """Places in Kafka whose rows are done; small enough to travel to the workers with each batch.

    Parameters
    ----------
    ranges : dict
        (topic, partition) to the offsets.
    """

    ranges: Mapping[tuple[str, int], Ranges]

    def done(self, rows: pa.Table) -> npt.NDArray[np.bool_]:
        """Tell for each row (columns ``topic``, ``partition``, ``offset``) whether it is done."""
        done = np.zeros(rows.num_rows, bool)
        if not self.ranges or rows.num_rows == 0:
            return done
        offsets = rows.column("offset").to_numpy()
        partitions = rows.column("partition").to_numpy()
        topics = np.array(rows.column("topic").to_pylist(), dtype=object)
        for (topic, partition), ranges in self.ranges.items():
            here = (topics == topic) & (partitions == partition)
            if here.any():
                done[here] = ranges.hold(offsets[here])
        return done

    def missing(self, rows: pa.Table) -> pa.Table:
        """Leave out the rows that are done."""
        done = self.done(rows)
        return rows.filter(pa.array(~done)) if done.any() else rows


NOTHING = Earlier({})


def find_earlier(lake: Lake, generation: int, tables: tuple[str, ...]) -> Earlier:
    """Find out what the generations before `generation` have written to `tables`.

    Parameters
    ----------
    lake : Lake
        The lake.
    generation : int
        The running generation; its own rows do not count, for a replay has to meet them again.
    tables : tuple of str
        Names from :data:`SOURCES`, in one of which every row that was read ends.

    Returns
    -------
    Earlier
        Empty for the first generation.
    """
    if generation == 1:
        return NOTHING
    offsets: dict[tuple[str, int], list[Offsets]] = defaultdict(list)
    for table in tables:
        where, batch = SOURCES[table]
        foreign = pc.invert(pc.starts_with(pc.field(*batch), f"g{generation}-"))
        for night in lake.nights(table):
            rows = lake.dataset(table, [night]).to_table(
                columns={name: pc.field(*where, name) for name in PLACE}, filter=foreign
            )
            for key, mine in _by_partition(rows):
                offsets[key].append(mine)
    return Earlier({key: Ranges.of(np.concatenate(parts)) for key, parts in offsets.items()})


def _by_partition(rows: pa.Table) -> list[tuple[tuple[str, int], Offsets]]:
    groups = rows.group_by(["topic", "partition"]).aggregate([("offset", "list")]).to_pylist()
    return [((row["topic"], row["partition"]), np.array(row["offset_list"], np.int64)) for row in groups]
