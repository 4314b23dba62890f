"""Filters of the end of the night: predicates over all alerts of a night, and the best of those that fulfil them.

What is chosen depends on the night's alerts alone, not on their order or on how they are spread over files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fink_lib.filters.plan import FilterSet, run_query
from fink_lib.filters.reading import read_values
from fink_lib.filters.values import Reference

if TYPE_CHECKING:
    from fink_lib.filters.files import Filter
    from fink_lib.lake import Lake


@dataclass(frozen=True)
class Chosen:
    """One alert that a filter of the night takes.

    Parameters
    ----------
    alert_id, object_id
        Which alert, of which object.
    value : float, optional
        What it was ordered by.
    """

    alert_id: int
    object_id: str
    value: float | None


class NightSelection:
    """Chooses from a night that comes in parts.

    Parameters
    ----------
    filters : FilterSet
        Filters of the night.
    id_field, object_field : str
        Columns of the alert's id and its object's name.
    """

    def __init__(self, filters: FilterSet, id_field: str, object_field: str) -> None:
        self._filters = filters
        self._names = (Reference((id_field,)), Reference((object_field,)))
        wanted = {reference for f in filters.filters if f.selection for reference in f.selection.references}
        self.references = tuple(sorted({*filters.references, *wanted, *self._names}))
        self._parts: dict[str, list[pa.Table]] = {name: [] for name in filters.names}

    def feed(self, rows: pa.Table) -> None:
        """Look at some of the night's alerts.

        Parameters
        ----------
        rows : pyarrow.Table
            At least the root columns of :attr:`references`.
        """
        if rows.num_rows == 0:
            return
        verdicts = self._filters.evaluate(rows)
        for f in self._filters.filters:
            takes = verdicts.column(f.name)
            if pc.any(takes).as_py():
                self._parts[f.name].append(self._keys(f, rows.filter(takes)))

    def chosen(self) -> dict[str, list[Chosen]]:
        """Give what each filter takes of all that was fed, the first ones first."""
        return {f.name: self._choose(f) for f in self._filters.filters}

    def _keys(self, f: Filter, rows: pa.Table) -> pa.Table:
        """Give id, object, value and group of alerts that fulfil a predicate."""
        selection = f.selection
        value = "TRY(CAST(" + (selection.order if selection and selection.order else "NULL") + " AS DOUBLE))"
        alert_id, object_id = (_quoted(reference) for reference in self._names)
        per = _quoted(selection.per) if selection and selection.per else "NULL"
        references = {*self._names, *(selection.references if selection else ())}
        columns = f"{alert_id} AS alert_id, {object_id} AS object_id, {value} AS value, CAST({per} AS VARCHAR) AS per"
        return run_query(f"SELECT {columns} FROM alerts", sorted(references), rows)

    def _choose(self, f: Filter) -> list[Chosen]:
        parts, selection = self._parts[f.name], f.selection
        if not parts:
            return []
        rows: list[dict[str, Any]] = pa.concat_tables(parts).to_pylist()
        ordered = selection is not None and bool(selection.order)
        if ordered:
            rows = [row for row in rows if row["value"] is not None]
        rows.sort(key=lambda row: (row["value"] if ordered else 0.0, row["alert_id"]))
        found: list[Chosen] = []
        seen: set[str] = set()
        for row in rows:
            if selection is not None and selection.limit is not None and len(found) == selection.limit:
                break
            if selection is not None and selection.per is not None:
                if row["per"] is None or row["per"] in seen:
                    continue
                seen.add(row["per"])
            found.append(Chosen(row["alert_id"], row["object_id"], row["value"]))
        return found


def select_night(lake: Lake, night: str, filters: FilterSet) -> dict[str, list[Chosen]]:
    """Choose from a night of the lake.

    Parameters
    ----------
    lake : Lake
        Holds table ``science``.
    night : str
        ``YYYYMMDD``.
    filters : FilterSet
        Filters of the night.

    Returns
    -------
    dict of str to list of Chosen
        By filter, in its order.
    """
    survey = lake.survey
    selection = NightSelection(filters, survey.id_field, survey.object_field)
    dataset = lake.dataset("science", [night])
    for path in sorted(fragment.path for fragment in dataset.get_fragments()):
        with dataset.filesystem.open_input_file(path) as handle:
            parquet = pq.ParquetFile(handle)
            for group in range(parquet.num_row_groups):
                selection.feed(read_values(parquet, group, selection.references, lake.schema("science")))
    return selection.chosen()


def _quoted(reference: Reference) -> str:
    return '"' + reference.name.replace('"', '""') + '"'
