"""What earlier checkpoints of a stream have sent: a new generation may meet the same alerts again.

Within one generation the marker is enough, since a batch is either wholly sent or not at all. A new generation counts
its batches from 0 and may begin before the place that the old one had reached.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

if TYPE_CHECKING:
    from fink_lib.lake import Lake

_COLUMNS = ("alert_id", "filter", "topic", "batch")


class SentBefore:
    """Knows which (alert, filter) earlier generations have sent.

    Parameters
    ----------
    lake : Lake
        Holds table ``sent``.
    generation : int
        The running generation; its own rows do not count.
    prefix : str
        Prefix of the topics; what went out under another one does not count.
    """

    def __init__(self, lake: Lake, generation: int, prefix: str) -> None:
        self._lake = lake
        self._own = f"g{generation}-"
        self._prefix = f"{prefix}_"
        self._first = generation == 1
        self._nights: dict[str, dict[str, npt.NDArray[np.int64]]] = {}

    def holds(self, night: str, filter_name: str, alert_id: int) -> bool:
        """Tell whether an alert has gone to the topic of a filter."""
        if self._first:
            return False
        if night not in self._nights:
            self._nights[night] = self._load(night)
        ids = self._nights[night].get(filter_name)
        if ids is None:
            return False
        place = int(np.searchsorted(ids, alert_id))
        return place < len(ids) and int(ids[place]) == alert_id

    def _load(self, night: str) -> dict[str, npt.NDArray[np.int64]]:
        rows = self._lake.read("sent", [night], columns=_COLUMNS)
        mine = pc.starts_with(rows.column("topic"), self._prefix)
        rows = rows.filter(pc.and_(mine, pc.invert(pc.starts_with(rows.column("batch"), self._own))))
        names = pc.unique(rows.column("filter")).to_pylist()
        return {
            name: np.sort(rows.filter(pc.equal(rows.column("filter"), name)).column("alert_id").to_numpy())
            for name in names
        }
