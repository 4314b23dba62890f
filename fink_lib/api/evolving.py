"""Rates and colours of alerts whose objects have more alerts than the answer."""

from __future__ import annotations

import pyarrow as pa

from fink_lib.api.alerts import Found, find_objects
from fink_lib.api.evolution import EVOLUTION, NEEDS, add_evolution
from fink_lib.api.stores import Stores

MOST_ALERTS = 100_000
"""Of all objects of an answer together."""
ID = "i:candid"


def with_evolution(stores: Stores, found: Found) -> Found:
    """Append rates and colours, computed over all alerts of each object.

    Parameters
    ----------
    stores : Stores
        Where the other alerts are.
    found : Found
        Alerts, with ``i:objectId`` and ``i:candid``.
    """
    names = list(dict.fromkeys(found.table.column("i:objectId").to_pylist()))
    curves = find_objects(stores, names, MOST_ALERTS, (ID, *NEEDS), evolution=False).table
    told = add_evolution(curves.select([ID, *NEEDS])).select([ID, *EVOLUTION])
    place = pa.compute.index_in(found.table.column(ID), value_set=told.column(ID).combine_chunks())
    table = found.table
    for name in EVOLUTION:
        table = table.append_column(name, told.column(name).take(place))
    return Found(table, found.total, found.sources, found.resume)
