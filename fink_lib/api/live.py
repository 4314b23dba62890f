"""Alerts of nights that are not archived yet, found by object in the lake.

A night grows by a small file per batch, and nothing in the lake is sorted by object. The reader keeps the object names
of each file in memory, 25 bytes an alert, and reads only the files that hold an object. It follows the table's log, so
a file is looked at once in its life.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake import DeltaTable

from fink_lib.lake import Lake
from fink_lib.lake.lookup import open_file
from fink_lib.lake.tables import PARTITION

REFRESH_S = 1.0


@dataclass
class LiveAlerts:
    """Rows of table ``science`` by object, for nights of one's choice.

    Parameters
    ----------
    lake : Lake
        The survey's lake.
    """

    lake: Lake
    _names: dict[str, pa.StringArray] = field(default_factory=dict, init=False)
    _table: DeltaTable | None = field(default=None, init=False)
    _seen: float = field(default=float("-inf"), init=False)
    _without: frozenset[str] = field(default=frozenset(), init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def find(self, objects: Collection[str], columns: Sequence[str], without: Collection[str] = ()) -> pa.Table:
        """Read all alerts of some objects.

        Parameters
        ----------
        objects : collection of str
            Exact names.
        columns : sequence of str
            Columns of table ``science``.
        without : collection of str
            Nights that are not searched: those that are archived.

        Returns
        -------
        pyarrow.Table
            Those columns; rows in no particular order.
        """
        schema = pa.schema([self.lake.schema("science").field(name) for name in columns])
        if not objects:
            return schema.empty_table()
        where = pc.field(self.lake.survey.object_field).isin(list(objects))
        for last_try in (False, True):
            with self._lock:
                self._follow(frozenset(without), at_once=last_try)
                places = self._places(objects)
            try:
                parts = [
                    self._row_groups(path, rows).to_table(schema=schema, filter=where) for path, rows in places.items()
                ]
            except FileNotFoundError:  # compacted and cleaned up between the two steps
                if last_try:
                    raise
            else:
                return pa.concat_tables([schema.empty_table(), *parts]).combine_chunks()
        raise AssertionError("unreachable")

    def _follow(self, without: frozenset[str], at_once: bool) -> None:
        now = time.monotonic()
        if not at_once and without == self._without and now - self._seen < REFRESH_S:
            return
        if self._table is None:
            self._table = self.lake.table("science")
        else:
            self._table.update_incremental()
        actions = pa.table(self._table.get_add_actions(flatten=True))
        listed = dict(zip(*(actions.column(c).to_pylist() for c in ("path", f"partition.{PARTITION}")), strict=True))
        current = {path for path, night in listed.items() if night not in without}
        for path in self._names.keys() - current:
            del self._names[path]
        for path in current - self._names.keys():
            names = open_file(self.lake.uri("science"), path).to_table(columns=[self.lake.survey.object_field])
            self._names[path] = names.column(0).combine_chunks().cast(pa.string())
        self._without, self._seen = without, now

    def _places(self, objects: Collection[str]) -> dict[str, npt.NDArray[np.int64]]:
        """Give the files that hold some objects, and the numbers of their rows in each."""
        paths = list(self._names)
        if not paths:
            return {}
        ends = np.cumsum([len(names) for names in self._names.values()])
        found = pc.is_in(pa.chunked_array(list(self._names.values())), value_set=pa.array(list(objects), pa.string()))
        rows = np.flatnonzero(found.to_numpy())
        files = np.searchsorted(ends, rows, side="right")
        starts = ends - [len(names) for names in self._names.values()]
        return {paths[file]: rows[files == file] - starts[file] for file in np.unique(files).tolist()}

    def _row_groups(self, path: str, rows: npt.NDArray[np.int64]) -> ds.ParquetFileFragment:
        """Open only the parts of a file that hold some rows."""
        file = open_file(self.lake.uri("science"), path)
        ends = np.cumsum([group.num_rows for group in file.row_groups])
        return file.subset(row_group_ids=np.unique(np.searchsorted(ends, rows, side="right")).tolist())
