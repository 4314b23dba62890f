"""Cross-match of alerts with one catalogue: the nearest source strictly within a radius, at most one.

The direction is alert to source, so two alerts beside one source both get it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fink_lib.science.base import Declaration, ModuleResult, ScienceModule, Status, statuses
from fink_lib.science.catalogs import Catalog, CatalogHandle, Matches
from fink_lib.science.columns import Columns
from fink_lib.science.layout import Layout

Ints = npt.NDArray[np.int64]


class CrossMatch(ScienceModule):
    """Copies columns of the nearest source.

    A subclass may look at some sources only (:meth:`accept`) or give other columns than the catalogue's
    (:meth:`outputs`).

    Parameters
    ----------
    name, version : str
        See :class:`Declaration`.
    layout : Layout
        Where the alert's position is.
    catalog : CatalogHandle
        What is searched.
    radius_arcsec : float
        Sources at this distance or beyond do not match.
    columns : mapping of str to (str, pyarrow.DataType)
        Output column to the catalogue's column and the output's type.
    """

    def __init__(
        self,
        name: str,
        version: str,
        layout: Layout,
        catalog: CatalogHandle,
        radius_arcsec: float,
        columns: Mapping[str, tuple[str, pa.DataType]],
    ) -> None:
        self.declaration = Declaration(
            name=name,
            version=version,
            inputs=(layout.ra, layout.dec),
            outputs=pa.schema([(output, kind) for output, (_, kind) in columns.items()]),
        )
        self.radius_arcsec = radius_arcsec
        self._layout = layout
        self._catalog = catalog
        self._columns = {output: column for output, (column, _) in columns.items()}

    @property
    def resources(self) -> Mapping[str, str]:
        """The catalogue's version and digest, if there is one."""
        return provenance(self._catalog)

    def accept(self, catalog: Catalog, pairs: Matches) -> npt.NDArray[np.bool_]:
        """Tell which pairs within the radius count; all of them, unless a subclass knows better."""
        return np.ones(len(pairs.source), dtype=bool)

    def outputs(self, catalog: Catalog, source: Ints) -> Mapping[str, pa.Array]:
        """Give the output columns of some rows of the catalogue, null where the row is -1."""
        return {
            field.name: catalog.column(self._columns[field.name], source).cast(field.type)
            for field in self.declaration.outputs
        }

    def run(self, columns: Columns) -> ModuleResult:
        """Match; outside the coverage, or without the catalogue, an alert is ``unavailable``."""
        size = len(columns)
        catalog = self._catalog.current()
        if catalog is None:
            return without_catalog(self.declaration, size)
        place = columns.floats(self._layout.ra), columns.floats(self._layout.dec)
        found = catalog.nearest(*place, self.radius_arcsec, lambda pairs: self.accept(catalog, pairs))
        status = statuses(size, Status.NO_MATCH)
        status[found.source >= 0] = Status.OK
        status[~found.covered] = Status.UNAVAILABLE
        separation = np.where(status == Status.OK, found.separation_arcsec, np.nan)
        return ModuleResult(self.outputs(catalog, found.source), status, separation)


def provenance(*handles: CatalogHandle) -> Mapping[str, str]:
    """Give ``fink_versions`` of the catalogues that are there: version and digest of each."""
    there = {handle.source.name: handle.current() for handle in handles}
    return {f"catalog.{name}": catalog.provenance for name, catalog in there.items() if catalog}


def without_catalog(declaration: Declaration, size: int) -> ModuleResult:
    """Give the result of a module whose catalogue is not there: nothing, ``unavailable``."""
    nulls = {field.name: pa.nulls(size, field.type) for field in declaration.outputs}
    return ModuleResult(nulls, statuses(size, Status.UNAVAILABLE))
