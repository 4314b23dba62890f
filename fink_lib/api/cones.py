"""Objects around a place, or inside a region of the sky: one row each, cut exactly.

The archive gives whole pixels and the index of the lake gives single places; both are cut here by the same rule, with
the position of the alert that is shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.api.alerts import ARCHIVE, LAKE, Found, Test, from_lake, newest_first, with_source
from fink_lib.api.blocks import Block
from fink_lib.api.column_sets import SEPARATION_COLUMN
from fink_lib.api.missing import STATUS_COLUMN
from fink_lib.api.places import near, separation_deg
from fink_lib.api.scans import archived_cone
from fink_lib.api.stores import Stores
from fink_lib.archive.derived import with_light_status

Ints = npt.NDArray[np.int64]
MARGIN_DEG = 5.0 / 3600
"""Alerts of one object scatter; an object is looked at if an alert is so near to the cone."""
PLACE = ("i:ra", "i:dec")
NAME = "i:objectId"


@dataclass(frozen=True)
class Cone:
    """A circle on the sky (all in degrees)."""

    ra_deg: float
    dec_deg: float
    radius_deg: float

    def rows(self, table: pa.Table, margin_deg: float = 0.0) -> Ints:
        """Give the numbers of the rows whose place is inside."""
        return near(self.ra_deg, self.dec_deg, self.radius_deg + margin_deg, *_places(table))

    def within(self, block: Block) -> Ints:
        """Give the rows of a block that may be inside, or in the margin."""
        reach_deg = self.radius_deg + 2 * MARGIN_DEG
        return block.in_band(self.dec_deg - reach_deg, self.dec_deg + reach_deg)


def find_in_cone(stores: Stores, cone: Cone, most: int, needed: Collection[str], test: Test, any_alert: bool) -> Found:
    """Read the objects of a cone, nearest first.

    Parameters
    ----------
    stores : Stores
        Where the data are.
    cone : Cone
        Which part of the sky.
    most : int
        How many objects at most.
    needed : collection of str
        Served columns to give; those of a light row.
    test : callable
        What else is asked of an alert.
    any_alert : bool
        Whether the newest alert that passes the test stands for its object; if not, the newest of all, which has to
        pass it.

    Returns
    -------
    Found
        With the column ``v:separation_degree``.

    Raises
    ------
    TransientError
        If there are archived nights and HBase is away.
    """
    archived = stores.archived_nights()
    live = from_lake(stores, lambda index: cone.rows(index, MARGIN_DEG), archived, needed, cone.within)
    parts = [with_source(light(live), LAKE)]
    if archived:
        place = (cone.ra_deg, cone.dec_deg)
        old = archived_cone(stores, place, cone.radius_deg + MARGIN_DEG, archived, needed, any_alert)
        parts.append(with_source(old, ARCHIVE))
    alerts = pa.concat_tables(parts, promote_options="permissive")
    found = objects_of(alerts, test, any_alert)
    found = found.take(pa.array(cone.rows(found)))
    separation = separation_deg(cone.ra_deg, cone.dec_deg, *_places(found))
    found = found.append_column(SEPARATION_COLUMN, pa.array(separation, pa.float64()))
    found = found.sort_by([(SEPARATION_COLUMN, "ascending"), (NAME, "ascending")])
    return Found(found.slice(0, most), found.num_rows, sources_of(found))


def objects_of(alerts: pa.Table, test: Test, any_alert: bool) -> pa.Table:
    """Give one alert of each object: its newest that passes a test, or its newest if that passes."""
    if any_alert:
        return newest_of_each(alerts.filter(pa.array(test(alerts))))
    newest = newest_of_each(alerts)
    return newest.filter(pa.array(test(newest)))


def newest_of_each(alerts: pa.Table) -> pa.Table:
    """Keep the newest alert of each object."""
    ordered = newest_first([alerts])
    names = ordered.column(NAME).combine_chunks().dictionary_encode()
    _, first = np.unique(names.indices.to_numpy(zero_copy_only=False), return_index=True)
    return ordered.take(pa.array(np.sort(first)))


def light(alerts: pa.Table) -> pa.Table:
    """Give alerts of the lake as a light table of the archive has them: the status of few modules."""
    if STATUS_COLUMN not in alerts.column_names or not alerts.num_rows:
        return alerts
    status = with_light_status(pa.table({"fink_status": alerts.column(STATUS_COLUMN)})).column("light_status")
    return alerts.set_column(alerts.column_names.index(STATUS_COLUMN), STATUS_COLUMN, status)


def sources_of(found: pa.Table) -> Counter[str]:
    """Count rows by the place they came from."""
    counts = Counter({LAKE: 0})
    for entry in pc.value_counts(found.column("v:source")).to_pylist():
        counts[entry["values"]] = entry["counts"]
    return counts


def _places(table: pa.Table) -> Sequence[npt.NDArray[np.float64]]:
    return [table.column(name).to_numpy() for name in PLACE]
