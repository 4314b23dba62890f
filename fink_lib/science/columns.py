"""A batch of alerts as science modules see it: the columns that they declare, and no other."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.science.base import Declaration, UndeclaredError
from fink_lib.science.history import History, build_history, to_floats, to_ints
from fink_lib.science.layout import Layout

if TYPE_CHECKING:
    import pandas as pd

HISTORY = "history"
CUTOUTS = "cutouts"

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
CutoutReader = Callable[[Ints], pa.Table]
"""Gives ``alert_id``, ``science``, ``template``, ``difference`` of the alerts with some ids."""


def one_chunk(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Give a column as one array, without copying if it is one already."""
    if isinstance(column, pa.Array):
        return column
    if column.num_chunks == 1:
        return column.chunk(0)
    combined = column.combine_chunks()
    if isinstance(combined, pa.ChunkedArray):
        return pa.concat_arrays(combined.chunks) if combined.num_chunks else pa.nulls(0, combined.type)
    return combined


class Batch:
    """The columns of a batch: of the alerts, and of the modules that have run.

    Parameters
    ----------
    alerts : pyarrow.Table
        Columns of the survey's ``alert_schema``.
    layout : Layout
        The survey's column map.
    id_field : str
        Column of the alert's id.
    cutouts : CutoutReader, optional
        Where images come from; without one every image is null.
    """

    def __init__(self, alerts: pa.Table, layout: Layout, id_field: str, cutouts: CutoutReader | None = None) -> None:
        self._alerts = alerts
        self._layout = layout
        self._columns: dict[str, pa.Array] = {}
        self._floats: dict[str, Floats] = {}
        self._history: History | None = None
        self._statuses: dict[str, npt.NDArray[np.int8]] = {}
        self.size = alerts.num_rows
        self.ids = to_ints(one_chunk(alerts.column(id_field)), 0)
        self._cutout_reader = cutouts
        self._cutouts_read = np.zeros(self.size, dtype=bool)
        self._cutouts: list[pa.Table] = []

    def read_cutouts(self, rows: Ints) -> None:
        """Read the images of some alerts, once each."""
        wanted = rows[~self._cutouts_read[rows]]
        if self._cutout_reader is None or not len(wanted):
            return
        self._cutouts.append(self._cutout_reader(self.ids[wanted]))
        self._cutouts_read[wanted] = True
        table = pa.concat_tables(self._cutouts)
        place = pc.index_in(pa.array(self.ids), value_set=one_chunk(table.column("alert_id")))
        for name in table.column_names:
            self._columns[f"{CUTOUTS}.{name}"] = one_chunk(table.column(name)).take(place)

    def add(self, name: str, array: pa.Array) -> None:
        """Make an output of a module readable to the modules after it."""
        self._columns[name] = array
        self._floats.pop(name, None)

    def add_status(self, module: str, status: npt.NDArray[np.int8]) -> None:
        """Make the statuses of a module readable to the modules after it."""
        self._statuses[module] = status

    def status(self, module: str) -> npt.NDArray[np.int8]:
        """Give the statuses of a module that has run."""
        return self._statuses[module]

    def find_status(self, module: str) -> npt.NDArray[np.int8] | None:
        """Give the statuses of a module, or nothing if there is no such module."""
        return self._statuses.get(module)

    def find(self, path: str, kind: pa.DataType) -> pa.Array:
        """Give a column, or nulls of type `kind` if neither the alert nor a module gives it."""
        root = path.split(".", 1)[0]
        known = root in self._columns or root in self._alerts.column_names
        return self.column(path) if known else pa.nulls(self.size, kind)

    def column(self, path: str) -> pa.Array:
        """Give a column by its dotted path."""
        if path not in self._columns:
            if path.startswith(f"{CUTOUTS}."):
                return pa.nulls(self.size, pa.binary())
            self._columns[path] = self._find(path)
        return self._columns[path]

    def floats(self, path: str) -> Floats:
        """Give a column as float64, NaN where it is null."""
        if path not in self._floats:
            values = to_floats(self.column(path))
            values.flags.writeable = False
            self._floats[path] = values
        return self._floats[path]

    @property
    def history(self) -> History:
        """Light curves of all alerts."""
        if self._history is None:
            previous = one_chunk(self._alerts.column(self._layout.previous))
            own = one_chunk(self._alerts.column(self._layout.own))
            self._history = build_history(previous, own, self._layout)
        return self._history

    def _find(self, path: str) -> pa.Array:
        root, *fields = path.split(".")
        array = self._columns[root] if root in self._columns else one_chunk(self._alerts.column(root))
        for name in fields:
            if pa.types.is_list(array.type):
                lengths = pc.fill_null(pc.list_value_length(array), 0)
                ends = np.cumsum(np.concatenate(([0], lengths.to_numpy(zero_copy_only=False))))
                inner = pc.struct_field(array.flatten(), name)
                array = pa.ListArray.from_arrays(pa.array(ends, pa.int32()), inner)
            else:
                array = pc.struct_field(array, name)
        return array


class Columns:
    """What one call of a module may read: its declared inputs, of the alerts that it shall compute.

    Every array has one value per alert, in one order; nulls are NaN, ``None`` or the value that is asked for.
    """

    def __init__(self, batch: Batch, declaration: Declaration, rows: Ints | None = None) -> None:
        self._batch = batch
        self._declaration = declaration
        self._rows = rows
        self._size = batch.size if rows is None else len(rows)
        self._inputs = frozenset(declaration.inputs)

    def __len__(self) -> int:
        return self._size

    @property
    def ids(self) -> Ints:
        """The alerts' ids; what random draws are seeded with."""
        return self._pick(self._batch.ids)

    def floats(self, path: str) -> Floats:
        """Give a column of numbers as float64, NaN where it is null.

        Parameters
        ----------
        path : str
            A declared input.

        Raises
        ------
        UndeclaredError
            If the module does not declare it.
        """
        self._check(path)
        return self._pick(self._batch.floats(path))

    def ints(self, path: str, missing: int = -1) -> Ints:
        """Give a column of whole numbers as int64, `missing` where it is null (see :meth:`floats`)."""
        return to_ints(self.arrow(path), missing)

    def strings(self, path: str) -> npt.NDArray[np.object_]:
        """Give a column of text or bytes as objects, ``None`` where it is null (see :meth:`floats`)."""
        values: npt.NDArray[np.object_] = self.arrow(path).to_numpy(zero_copy_only=False)
        return values

    def arrow(self, path: str) -> pa.Array:
        """Give a column as an Arrow array of its own type; a path through a list gives lists (see :meth:`floats`)."""
        self._check(path)
        array = self._batch.column(path)
        return array if self._rows is None else array.take(pa.array(self._rows))

    def pandas(self, *paths: str) -> pd.DataFrame:
        """Give columns as a pandas frame, named by their paths (see :meth:`floats`)."""
        frame: pd.DataFrame = pa.table({path: self.arrow(path) for path in paths}).to_pandas()
        return frame

    def status(self, module: str) -> npt.NDArray[np.int8]:
        """Give the statuses of a module named in ``requires`` or ``uses``."""
        if module not in self._declaration.upstream:
            raise UndeclaredError(
                f"module {self._declaration.name} reads the status of {module!r}, which it does not declare; "
                "add it to requires or uses"
            )
        return self._pick(self._batch.status(module))

    @property
    def history(self) -> History:
        """Light curves; fields beyond time, band and validity must be declared as ``history.<field>``."""
        if not any(path.startswith(f"{HISTORY}.") for path in self._inputs):
            raise UndeclaredError(
                f"module {self._declaration.name} reads the light curve, which it does not declare; "
                "add history.<field> to inputs"
            )
        return self._batch.history.select(self._rows, self._check)

    def _check(self, path: str) -> None:
        if path not in self._inputs:
            raise UndeclaredError(
                f"module {self._declaration.name} reads {path!r}, which it does not declare; add it to inputs"
            )

    def _pick(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        picked = values if self._rows is None else values[self._rows]
        picked.flags.writeable = False
        return picked
