"""Names and distances of the nearest galaxy of the Mangrove catalogue, within 230 Mpc.

Ducoin et al. 2020, MNRAS 492, 4768. Distances are in Mpc; all values are text, as they always were in this column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from fink_lib.config import Settings
from fink_lib.science.base import ScienceModule
from fink_lib.science.catalogs import Catalog, catalog_handle
from fink_lib.science.crossmatch import CrossMatch, Ints
from fink_lib.science.layout import layout_of
from fink_lib.surveys.base import Survey

RADIUS_ARCSEC = 60.0
KEYS = ("HyperLEDA_name", "2MASS_name", "lum_dist", "ang_dist")


class Mangrove(CrossMatch):
    """Cross-match that gives one map."""

    def outputs(self, catalog: Catalog, source: Ints) -> Mapping[str, pa.Array]:
        """Give the map of each galaxy: a name that it does not have is null, a distance its shortest exact text."""
        matched = source >= 0
        items = [catalog.column(key, source[matched]).to_pylist() for key in KEYS]
        by_row = [None if value is None else str(value) for row in zip(*items, strict=True) for value in row]
        offsets = np.concatenate(([0], np.cumsum(matched))).astype(np.int32) * len(KEYS)
        keys = pa.array(list(KEYS) * int(matched.sum()), pa.string())
        column = pa.MapArray.from_arrays(pa.array(offsets), keys, pa.array(by_row, pa.string()))
        return {"mangrove": column.take(pa.array(np.arange(len(source)), mask=~matched))}


def build(survey: Survey, settings: Settings) -> Sequence[ScienceModule]:
    """Give the module; its column is ``mangrove``, with the keys :data:`KEYS`."""
    columns = {"mangrove": ("lum_dist", pa.map_(pa.string(), pa.string()))}
    handle = catalog_handle("mangrove", settings)
    return [Mangrove("mangrove", "1", layout_of(survey.name), handle, RADIUS_ARCSEC, columns)]
