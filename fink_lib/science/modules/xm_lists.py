"""Which short lists of special objects an alert is on: list to the object's name there.

Magnetic cataclysmic variables and symbiotic stars within 0.5 arcsec, known tidal disruption events within 5 arcsec,
dwarf galaxies with an active nucleus within each galaxy's own effective radius. From snapshots; a list may be absent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fink_lib.config import Settings
from fink_lib.science.base import Declaration, ModuleResult, ScienceModule, Status, statuses
from fink_lib.science.catalogs import Catalog, CatalogHandle, Matches, catalog_handle
from fink_lib.science.columns import Columns
from fink_lib.science.crossmatch import provenance
from fink_lib.science.history import to_floats
from fink_lib.science.layout import Layout, layout_of
from fink_lib.surveys.base import Survey

RADII_ARCSEC: Mapping[str, float | None] = {
    "dwarf_agn": None,
    "known_tde": 5.0,
    "magnetic_cv": 0.5,
    "symbiotic_cv": 0.5,
}
"""Match radius by list; none: the column ``radius_arcsec`` of each source."""


class Lists(ScienceModule):
    """Cross-match with all lists at once.

    Parameters
    ----------
    layout : Layout
        Where the alert's position is.
    handles : mapping of str to CatalogHandle
        The lists.
    """

    def __init__(self, layout: Layout, handles: Mapping[str, CatalogHandle]) -> None:
        self.declaration = Declaration(
            name="xm_lists",
            version="1",
            inputs=(layout.ra, layout.dec),
            outputs=pa.schema([("xm_lists", pa.map_(pa.string(), pa.string()))]),
        )
        self._layout = layout
        self._handles = handles

    @property
    def resources(self) -> Mapping[str, str]:
        """Versions and digests of the lists that are there."""
        return provenance(*self._handles.values())

    def run(self, columns: Columns) -> ModuleResult:
        """Match; an alert on no list is ``unavailable`` if one of the lists could not be asked."""
        size = len(columns)
        place = columns.floats(self._layout.ra), columns.floats(self._layout.dec)
        asked = np.ones(size, dtype=bool)
        separation = np.full(size, np.nan)
        names: list[pa.Array] = []
        for name, handle in self._handles.items():
            catalog = handle.current()
            if catalog is None:
                asked[:] = False
                names.append(pa.nulls(size, pa.string()))
                continue
            source, distance, covered = _nearest(catalog, *place, RADII_ARCSEC[name])
            asked &= covered
            separation = np.fmin(separation, distance)
            names.append(catalog.column("name", source))
        status = statuses(size, Status.NO_MATCH)
        status[~asked] = Status.UNAVAILABLE
        status[np.isfinite(separation)] = Status.OK
        return ModuleResult({"xm_lists": _maps(list(self._handles), names)}, status, separation)


def _nearest(
    catalog: Catalog, ra: npt.NDArray[np.float64], dec: npt.NDArray[np.float64], radius_arcsec: float | None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Give source, separation and coverage of each position, within one radius or each source's own."""
    if radius_arcsec is not None:
        found = catalog.nearest(ra, dec, radius_arcsec)
    else:
        largest = pc.max(catalog.sources.column("radius_arcsec")).as_py() or 1.0

        def inside(pairs: Matches) -> npt.NDArray[np.bool_]:
            own = to_floats(catalog.column("radius_arcsec", pairs.source))
            closer: npt.NDArray[np.bool_] = pairs.separation_arcsec < own
            return closer

        found = catalog.nearest(ra, dec, largest, inside)
    source = np.where(found.covered, found.source, -1)
    return source, np.where(found.covered, found.separation_arcsec, np.nan), found.covered


def _maps(lists: Sequence[str], names: Sequence[pa.Array]) -> pa.MapArray:
    """Give one map per alert with the lists that it is on, in the order of the lists."""
    on = np.stack([pc.is_valid(array).to_numpy(zero_copy_only=False) for array in names], axis=1)
    row, number = np.nonzero(on)
    offsets = np.concatenate(([0], np.cumsum(on.sum(axis=1)))).astype(np.int32)
    every = pa.concat_arrays(names).take(pa.array(number * len(on) + row))
    keys = pa.array(lists, pa.string()).take(pa.array(number))
    return pa.MapArray.from_arrays(pa.array(offsets), keys, every)


def build(survey: Survey, settings: Settings) -> Sequence[ScienceModule]:
    """Give the module; its column is ``xm_lists``."""
    if survey.fink_schema.get_field_index("xm_lists") < 0:
        return []
    handles = {name: catalog_handle(name, settings) for name in RADII_ARCSEC}
    return [Lists(layout_of(survey.name), handles)]
